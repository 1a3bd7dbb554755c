package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fanout/bench/internal/cost"
)

func TestPricesCommand(t *testing.T) {
	figures := map[string]string{
		"AWS-Lambda-Duration": "0.0000170000", "AWS-Lambda-Duration-ARM": "0.0000136000", "AWS-Lambda-Requests": "0.0000002000",
		"S3-API-Tier1": "0.0000054000", "S3-API-Tier2": "0.0000004300",
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Filters []struct{ Field, Value string }
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Filters) != 2 {
			t.Errorf("%v %v", in, err)
		}
		group, region := in.Filters[0].Value, in.Filters[1].Value
		usage := strings.Replace(group, "S3-API", "EUW9-Requests", 1)
		entry := fmt.Sprintf(`{"product":{"attributes":{"group":%q,"regionCode":%q,"usagetype":%q}},`+
			`"terms":{"OnDemand":{"x":{"priceDimensions":{"y":{"beginRange":"0","pricePerUnit":{"USD":%q}}}}}}}`,
			group, region, usage, figures[group])
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if err := json.NewEncoder(w).Encode(map[string]any{"PriceList": []string{entry}}); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "A")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "B")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	path := filepath.Join(t.TempDir(), "prices.json")
	var stdout, stderr bytes.Buffer
	args := []string{"prices", "--endpoint", server.URL, "--region", "eu-west-9", "-o", path}
	if status := run(t.Context(), args, &stdout, &stderr); status != 0 {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	o, err := (&priceFlags{prices: path, region: "eu-west-9", weight: "1"}).options("report")
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.Prices.Prices("eu-west-9")
	if err != nil || p.GBSecond["arm64"] != 0.0000136 || p.MillionRequests != 0.2 || p.S3[cost.Standard].ThousandGETs != 0.00043 {
		t.Errorf("%+v, %v", p, err)
	}
}

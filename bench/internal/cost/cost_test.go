package cost

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
)

// The published workload, 1,000 objects of 25.5 MB in all read at 1,024 MB in
// two billed seconds, worked out by hand.
func TestPublishedWorkload(t *testing.T) {
	for _, tc := range []struct {
		name  string
		inv   Invocation
		want  [4]float64 // compute, request, S3 requests, retrieval
		total float64
	}{
		{
			// 2 s × 1 GB × 0.0000166667; 0.20/10^6; 1,000 × 0.0004/1,000 + 1 × 0.005/1,000
			"x86_64", Invocation{Arch: "x86_64", MemoryMB: 1024, BilledMS: 2000, GETs: 1000, LISTs: 1, Bytes: 25_500_000, Class: Standard},
			[4]float64{0.0000333334, 0.0000002, 0.000405, 0}, 0.0004385334,
		},
		{
			"arm64", Invocation{Arch: "arm64", MemoryMB: 1024, BilledMS: 2000, GETs: 1000, LISTs: 1, Bytes: 25_500_000, Class: Standard},
			[4]float64{0.0000266668, 0.0000002, 0.000405, 0}, 0.0004318668,
		},
		{
			// 1,000 × 0.00003/1,000 + 0.00113/1,000; 25,500,000/2^30 × 0.0006
			"S3 Express", Invocation{Arch: "x86_64", MemoryMB: 1024, BilledMS: 2000, GETs: 1000, LISTs: 1, Bytes: 25_500_000,
				Class: Express},
			[4]float64{0.0000333334, 0.0000002, 0.00003113, 0.0000142492354}, 0.0000789126354,
		},
		{
			// INIT is billed: 0.05 s more, at an eighth of a GB
			"a cold start at 128 MB", Invocation{Arch: "x86_64", MemoryMB: 128, BilledMS: 3050, GETs: 1000, LISTs: 1, Class: Standard},
			[4]float64{0.00000635417938, 0.0000002, 0.000405, 0}, 0.00041155417938,
		},
	} {
		p, err := Builtin.Prices("us-east-1")
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Invocation(tc.inv)
		if err != nil {
			t.Fatal(err)
		}
		within := func(what string, got, want float64) {
			if math.Abs(got-want) > 1e-6*want {
				t.Errorf("%s: %s $%v, want $%v", tc.name, what, got, want)
			}
		}
		for k, g := range Groups {
			within(g.Title, got.Of(g), tc.want[k])
		}
		within("total", got.Total(), tc.total)
		within("a million", got.Million().Total(), tc.total*1e6)
	}
}

// A bill adds up: every part belongs to one group, and is its quantity at its
// price; written and read it is the same.
func TestBill(t *testing.T) {
	p, err := Builtin.Prices("us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	bill, err := p.Invocation(Invocation{Arch: "x86_64", MemoryMB: 1024, BilledMS: 2000, GETs: 1000, LISTs: 2, Bytes: 1 << 30,
		Class: Express})
	if err != nil {
		t.Fatal(err)
	}
	sum, groups := 0.0, 0.0
	for _, part := range bill {
		sum += part.Amount
		if part.Amount != part.Quantity*part.UnitPrice || !slices.Contains(Groups, part.Group) || part.Unit == "" {
			t.Errorf("%+v", part)
		}
	}
	for _, g := range Groups {
		groups += bill.Of(g)
	}
	if math.Abs(sum-bill.Total()) > 1e-12 || math.Abs(groups-sum) > 1e-12 {
		t.Errorf("parts %v, groups %v, total %v", sum, groups, bill.Total())
	}
	if bill.Settable() != bill.Of(Compute) || math.Abs(bill.S3()-bill.Of(S3Requests)-bill.Of(Retrieval)) > 1e-12 {
		t.Errorf("settable %v, S3 %v", bill.Settable(), bill.S3())
	}
	text, err := json.Marshal(bill)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	var back Bill
	if err := errors.Join(json.Unmarshal(text, &fields), json.Unmarshal(text, &back)); err != nil || !reflect.DeepEqual(back, bill) {
		t.Errorf("%+v, %v", back, err)
	}
	for _, name := range []string{"compute_usd", "request_usd", "s3_requests_usd",
		"retrieval_usd"} { // read by others since the first version
		if v, ok := fields[name].(float64); !ok || v <= 0 {
			t.Errorf("%s: %v in %s", name, fields[name], text)
		}
	}
}

// A scan of a million objects, and each way to use what others do not.
func TestScan(t *testing.T) {
	p, err := Builtin.Prices("us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	old := p // as a file that was written before scans had prices
	old.StepFunctions, old.MillionInventoried = nil, 0
	for _, tc := range []struct {
		name    string
		used    Scan
		want    [6]float64 // by group, in the order of ScanGroups
		missing string     // in a table of before
	}{
		{"a million of 25 kB, listed, in 1,000 batches of 0.7 s at 512 MB", Scan{
			Arch: "x86_64", MemoryMB: 512, Class: Standard, GETs: 1e6, LISTs: 1000, Bytes: 25e9,
			Invocations: 1000, ComputeS: 700, ExpressRequests: 1000, ExpressS: 700, PUTs: 1000, MergeGETs: 1000, MergeLISTs: 1, MergeS: 1,
		}, [6]float64{
			0.405,         // 10^6 × 0.0004/1,000 + 1,000 × 0.005/1,000
			0,             // S3 Standard
			0.005833345,   // 700 s × 0.5 GB × 0.0000166667
			0.0002,        // 1,000 × 0.20/10^6
			0.0017293125,  // 1,000 × 1/10^6 + 700 s × 0.0625 GB × 0.00001667
			0.00541333335, // 1,000 × 0.005/1,000 + 1,000 × 0.0004/1,000 + 0.005/1,000 + 0.5 GB-s × 0.0000166667
		}, "no price for Step Functions in us-east-1"},
		{"by inventory, with Standard children, of S3 Express", Scan{
			Arch: "arm64", MemoryMB: 1024, Class: Express, GETs: 1e6, Inventoried: 1e6, Bytes: 1 << 30, Transitions: 2000,
		}, [6]float64{
			0.0325, // 10^6 × 0.00003/1,000 + 0.0025
			0.0006, // 1 GB
			0, 0,
			0.05, // 2,000 × 0.025/1,000
			0,
		}, "no price for S3 Inventory in us-east-1"},
	} {
		got, err := p.Scan(tc.used)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for i, g := range ScanGroups {
			sum += tc.want[i]
			if math.Abs(got.Of(g)-tc.want[i]) > 1e-9 {
				t.Errorf("%s: %s $%v, want $%v", tc.name, g.Title, got.Of(g), tc.want[i])
			}
		}
		if math.Abs(got.Total()-sum) > 1e-9 {
			t.Errorf("%s: $%v in all, want $%v", tc.name, got.Total(), sum)
		}
		text, err := json.Marshal(got)
		var back Bill
		if err = errors.Join(err, json.Unmarshal(text, &back)); err != nil || !reflect.DeepEqual(back, got) {
			t.Errorf("%s: written and read: %+v, %v", tc.name, back, err)
		}
		if !strings.Contains(string(text), `"step_functions_usd":0.0`) {
			t.Errorf("%s: %s", tc.name, text)
		}
		if _, err := old.Scan(tc.used); err == nil || err.Error() != tc.missing {
			t.Errorf("%s: with a table of before: %v, want %s", tc.name, err, tc.missing)
		}
	}
}

func TestListRequests(t *testing.T) {
	for objects, want := range map[int]int{0: 1, 1: 1, 1000: 1, 1001: 2, 100_000: 100} {
		if got := ListRequests(objects); got != want {
			t.Errorf("%d objects: %d, want %d", objects, got, want)
		}
	}
}

func TestNoPrice(t *testing.T) {
	_, err := Builtin.Prices("mars-north-1")
	var no *NoRegionError
	if !errors.As(err, &no) || !strings.Contains(err.Error(), "us-east-1") || !strings.Contains(no.Hint(), "fanout prices --aws") {
		t.Errorf("%v", err)
	}
	p, _ := Builtin.Prices("us-east-1")
	if _, err := p.Invocation(Invocation{Arch: "riscv", Class: Standard}); err == nil {
		t.Error("an architecture without a price was free")
	}
	if _, err := p.Invocation(Invocation{Arch: "arm64", Class: "tape"}); err == nil {
		t.Error("a storage class without a price was free")
	}
}

func TestReadTable(t *testing.T) {
	whole := string(builtin)
	for _, tc := range []struct{ name, text, message string }{
		{"as it is", whole, ""},
		{"not JSON", "prices", "read prices: invalid"},
		{"a misspelt price would be free", strings.Replace(whole, "retrieval_usd_per_gb", "retrieval_usd_a_gb", 1), "unknown field"},
		{"no date", strings.Replace(whole, "2026-", "today ", 1), "must be YYYY-MM-DD"},
		{"free compute", strings.Replace(whole, "0.0000166667", "0", 1), "lambda_usd_per_gb_second of x86_64 is 0"},
		{"a negative price", strings.Replace(whole, "0.0004,", "-1,", 1), "get_usd_per_thousand of standard is -1"},
		{"negative retrieval", strings.Replace(whole, "0.0006", "-0.0006", 1), "retrieval_usd_per_gb of express"},
		{"free transitions", strings.Replace(whole, "0.025", "0", 1), "standard_usd_per_thousand_transitions is 0"},
		{"a negative inventory", strings.Replace(whole, "0.0025", "-0.0025", 1), "s3_inventory_usd_per_million_objects is -0.0025"},
		{"an unknown architecture", strings.Replace(whole, `"arm64"`, `"mips"`, 1), `arch "mips"`},
		{"an unknown class", strings.Replace(whole, `"express"`, `"tape"`, 1), `storage class "tape"`},
		{"no region", `{"date":"2026-01-01","regions":{}}`, "no region"},
		{"two tables", whole + whole, "more than one table"},
		{"a bracket too many", whole + "}", "more than one table"},
		{"a byte order mark", "\uFEFF" + whole, ""},
	} {
		got, err := ReadTable(strings.NewReader(tc.text))
		if (err == nil) != (tc.message == "") || err != nil && !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.message)
		}
		if tc.message == "" && len(got.Sources) == 0 {
			t.Errorf("%s: no source", tc.name)
		}
	}
	var b bytes.Buffer
	if err := Builtin.Write(&b); err != nil {
		t.Fatal(err)
	}
	if again, err := ReadTable(&b); err != nil || !reflect.DeepEqual(again, Builtin) {
		t.Errorf("written and read: %+v, %v", again, err)
	}
}

// What is at a bound of a price is a price.
func TestPriceBounds(t *testing.T) {
	table := func(million, retrieval float64) string {
		return fmt.Sprintf(`{"date":"2026-01-01","regions":{"r":{"lambda_usd_per_gb_second":{"arm64":1},`+
			`"lambda_usd_per_million_requests":%v,`+
			`"s3":{"express":{"get_usd_per_thousand":1,"list_usd_per_thousand":1,"retrieval_usd_per_gb":%v}}}}}`, million, retrieval)
	}
	for _, tc := range []struct {
		million, retrieval float64
		ok                 bool
	}{{10, 0, true}, {10, 1, true}, {10.1, 0, false}, {0, 0, false}, {-1, 0, false}, {1, 1.1, false}, {1, -0.1, false}} {
		if _, err := ReadTable(strings.NewReader(table(tc.million, tc.retrieval))); (err == nil) != tc.ok {
			t.Errorf("$%v a million, $%v a GB: %v", tc.million, tc.retrieval, err)
		}
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add(string(builtin))
	f.Add(`{"date":"2026-01-01","regions":{"x":{"s3":{"standard":{"get_usd_per_thousand":1e999}}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		table, err := ReadTable(strings.NewReader(text))
		if err != nil {
			return
		}
		for region := range table.Regions {
			p, err := table.Prices(region)
			if err != nil {
				t.Fatal(err)
			}
			for arch := range p.GBSecond {
				for class := range p.S3 {
					s, err := p.Invocation(Invocation{Arch: arch, Class: class, MemoryMB: 1024, BilledMS: 1000, GETs: 1, LISTs: 1})
					if err != nil || !(s.Total() > 0) || math.IsInf(s.Total(), 0) {
						t.Errorf("%s %s: %+v, %v", arch, class, s, err)
					}
				}
			}
		}
	})
}

// entry is one of the price list's, in its own form.
func entry(group, region, usage, usd string) string {
	return fmt.Sprintf(`{"product":{"attributes":{"group":%q,"regionCode":%q,"usagetype":%q}},`+
		`"terms":{"OnDemand":{"A.B":{"priceDimensions":{`+
		`"A.B.2":{"beginRange":"6000000000","pricePerUnit":{"USD":"0.0000000001"}},`+
		`"A.B.1":{"beginRange":"0","pricePerUnit":{"USD":%q}}}}}}}`, group, region, usage, usd)
}

// priceList is a Price List API that knows these entries, two a page.
func priceList(t *testing.T, entries []string) *pricing.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			ServiceCode string
			NextToken   string
			Filters     []struct{ Field, Type, Value string }
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("X-Amz-Target") != "AWSPriceListService.GetProducts" {
			t.Errorf("%v %s", err, r.Header.Get("X-Amz-Target"))
		}
		if !strings.Contains(r.Header.Get("Authorization"), "/"+APIRegion+"/pricing/") {
			t.Errorf("signed for %s", r.Header.Get("Authorization"))
		}
		var page []string
		for _, e := range entries {
			var p product
			if err := json.Unmarshal([]byte(e), &p); err != nil {
				page = append(page, e) // broken on purpose
				continue
			}
			// As the service does it: each filter must match. The region's is left
			// to the reader here, to see that it looks.
			if in.Filters[0].Field == "group" && in.Filters[0].Value == p.Product.Attributes.Group {
				page = append(page, e)
			}
		}
		out := map[string]any{"FormatVersion": "aws_v1", "PriceList": page}
		if len(page) > 2 {
			if in.NextToken == "" {
				out["PriceList"], out["NextToken"] = page[:2], "2"
			} else {
				out["PriceList"] = page[2:]
			}
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if err := json.NewEncoder(w).Encode(out); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return pricing.New(pricing.Options{
		BaseEndpoint: &server.URL, Region: APIRegion, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("A", "B", ""),
	})
}

func TestFetch(t *testing.T) {
	good := []string{
		entry("AWS-Lambda-Duration", "eu-west-9", "EUW9-Lambda-GB-Second", "0.0000170000"),
		entry("AWS-Lambda-Duration-ARM", "eu-west-9", "EUW9-Lambda-GB-Second-ARM", "0.0000136000"),
		entry("AWS-Lambda-Requests", "eu-west-9", "EUW9-Request", "0.0000002000"),
		entry("S3-API-Tier1", "eu-west-9", "EUW9-Requests-Tier1", "0.0000054000"),
		entry("S3-API-Tier2", "eu-west-9", "EUW9-Requests-Tier2", "0.0000004300"),
	}
	for _, tc := range []struct {
		name    string
		entries []string
		message string
	}{
		{"as it is", good, ""},
		{"others' figures are passed over, and free ones", append([]string{
			entry("AWS-Lambda-Duration", "eu-west-9", "EUW9-Lambda-GB-Second", "0.0000000000"),
			entry("AWS-Lambda-Duration", "us-east-1", "Lambda-GB-Second", "0.0000166667"),
			entry("S3-API-Tier1", "eu-west-9", "EUW9-Tables-Requests-Tier1", "0.0000099000"),
		}, good...), ""},
		{"transitions, of which the first 4,000 are free", append([]string{
			strings.Replace(entry("SFN-StateTransitions", "eu-west-9", "EUW9-StateTransition", "0.0000000000"),
				`"beginRange":"6000000000","pricePerUnit":{"USD":"0.0000000001"}`,
				`"beginRange":"4000","pricePerUnit":{"USD":"0.0000270000"}`, 1),
			entry("SFN-ExpressWorkflows-Requests", "eu-west-9", "EUW9-StepFunctions-Request", "0.0000011000"),
			entry("SFN-ExpressWorkflows-Duration", "eu-west-9", "EUW9-StepFunctions-GB-Second", "0.0000170000"),
		}, good...), ""},
		{"some figures of Step Functions alone", append([]string{
			entry("SFN-ExpressWorkflows-Requests", "eu-west-9", "EUW9-StepFunctions-Request", "0.0000011000"),
		}, good...), ""},
		{"none", good[1:], "price of AWSLambda AWS-Lambda-Duration in eu-west-9: the price list has none"},
		{"several", append([]string{entry("S3-API-Tier2", "eu-west-9", "Requests-Tier2", "0.0000009000")}, good...),
			"S3-API-Tier2 in eu-west-9: the price list has several"},
		{"not a number", append([]string{entry("S3-API-Tier2", "eu-west-9", "Requests-Tier2", "free")}, good...), `price "free"`},
		{"not JSON", append([]string{"{"}, good...), "read the price list"},
	} {
		p, err := Fetch(t.Context(), priceList(t, tc.entries), "eu-west-9")
		if (err == nil) != (tc.message == "") || err != nil && !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.message)
			continue
		}
		if tc.message != "" {
			continue
		}
		bill, err := p.Invocation(Invocation{Arch: "arm64", MemoryMB: 1024, BilledMS: 1000, GETs: 1000, LISTs: 1, Class: Standard})
		if want := (0.0000136 + 0.0000002 + 0.00043 + 0.0000054); err != nil || math.Abs(bill.Total()-want) > 1e-12 {
			t.Errorf("%s: %+v, %v; want $%v in all", tc.name, bill, err, want)
		}
		if _, ok := p.S3[Express]; ok {
			t.Errorf("%s: S3 Express without a source", tc.name)
		}
		if states := p.StepFunctions; len(tc.entries) == len(good)+3 && strings.Contains(tc.entries[0], "SFN") {
			if want := (StepFunctionsPrices{0.027, 1.1, 0.000017}); states == nil || *states != want {
				t.Errorf("%s: %+v, want %+v", tc.name, states, want)
			}
		} else if states != nil {
			t.Errorf("%s: %+v without all figures", tc.name, states)
		}
	}
}

func FuzzPriceList(f *testing.F) {
	f.Add(entry("AWS-Lambda-Duration", "us-east-1", "Lambda-GB-Second", "0.0000166667"))
	f.Add(`{"terms":{"OnDemand":{"x":{"priceDimensions":{"y":{"beginRange":"0","pricePerUnit":{"USD":"-1"}}}}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		usd, ok, err := wantedPrices[0].read(text, "us-east-1")
		if ok && (err != nil || !(usd > 0 && usd < 1)) {
			t.Errorf("%v, %v", usd, err)
		}
	})
}

package cost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/aws-sdk-go-v2/service/pricing/types"

	"fanout/functions/lambda"
)

// APIRegion is where the Price List API is served from, whatever region is
// asked about.
const APIRegion = "us-east-1"

// wanted is one figure of the price list. The groups are the list's own names,
// the same in every region; usage types carry a region's prefix.
type wanted struct {
	service, group string
	usage          *regexp.Regexp // among the group's products; nil: all
	unit           float64        // how many of the list's units a figure is for
	put            func(*Prices, float64)
	optional       bool    // what does without it stays priced
	free           float64 // units of a free tier, after which the first tier that is paid may begin
}

// freeTransitions is how many state transitions a month are free
// (aws.amazon.com/step-functions/pricing, read in November 2026).
const freeTransitions = 4000

var wantedPrices = []wanted{
	{"AWSLambda", "AWS-Lambda-Duration", nil, 1, func(p *Prices, usd float64) { p.GBSecond[lambda.X86] = usd }, false, 0},
	{"AWSLambda", "AWS-Lambda-Duration-ARM", nil, 1, func(p *Prices, usd float64) { p.GBSecond[lambda.ARM] = usd }, false, 0},
	{"AWSLambda", "AWS-Lambda-Requests", nil, 1e6, func(p *Prices, usd float64) { p.MillionRequests = usd }, false, 0},
	{"AmazonS3", "S3-API-Tier1", regexp.MustCompile(`^([A-Z]{2,4}[0-9]?-)?Requests-Tier1$`), 1000,
		func(p *Prices, usd float64) { p.setStandard(func(s *S3Prices) { s.ThousandLISTs = usd }) }, false, 0},
	{"AmazonS3", "S3-API-Tier2", regexp.MustCompile(`^([A-Z]{2,4}[0-9]?-)?Requests-Tier2$`), 1000,
		func(p *Prices, usd float64) { p.setStandard(func(s *S3Prices) { s.ThousandGETs = usd }) }, false, 0},
	{"AmazonStates", "SFN-StateTransitions", nil, 1000,
		func(p *Prices, usd float64) {
			p.setStates(func(s *StepFunctionsPrices) { s.ThousandTransitions = usd })
		}, true, freeTransitions},
	{"AmazonStates", "SFN-ExpressWorkflows-Requests", nil, 1e6,
		func(p *Prices, usd float64) {
			p.setStates(func(s *StepFunctionsPrices) { s.MillionExpressRequests = usd })
		}, true, 0},
	{"AmazonStates", "SFN-ExpressWorkflows-Duration", nil, 1,
		func(p *Prices, usd float64) { p.setStates(func(s *StepFunctionsPrices) { s.ExpressGBSecond = usd }) }, true, 0},
}

func (p *Prices) setStandard(set func(*S3Prices)) {
	s := p.S3[Standard]
	set(&s)
	p.S3[Standard] = s
}

func (p *Prices) setStates(set func(*StepFunctionsPrices)) {
	if p.StepFunctions == nil {
		p.StepFunctions = &StepFunctionsPrices{}
	}
	set(p.StepFunctions)
}

// errNotListed says that the price list has no such figure.
var errNotListed = errors.New("the price list has none")

// Fetch asks the AWS Price List API for a region's prices of Lambda, of S3
// Standard and of Step Functions: what is on demand, of the first tier that is
// not free. S3 Express is left out, as the list does not name its retrieval
// clearly, and S3 Inventory, which has no group there. The error names the
// figure that could not be had; without all of its figures, Step Functions is
// left out.
func Fetch(ctx context.Context, api pricing.GetProductsAPIClient, region string) (Prices, error) {
	p := Prices{GBSecond: map[string]float64{}, S3: map[StorageClass]S3Prices{}, Region: region}
	for _, w := range wantedPrices {
		usd, err := w.fetch(ctx, api, region)
		switch {
		case w.optional && errors.Is(err, errNotListed):
			continue
		case err != nil:
			return Prices{}, fmt.Errorf("price of %s %s in %s: %w", w.service, w.group, region, err)
		}
		w.put(&p, usd)
	}
	if s := p.StepFunctions; s != nil && (s.ThousandTransitions == 0 || s.MillionExpressRequests == 0 || s.ExpressGBSecond == 0) {
		p.StepFunctions = nil
	}
	if err := p.validate(); err != nil {
		return Prices{}, fmt.Errorf("prices of %s: %w", region, err)
	}
	return p, nil
}

func (w wanted) fetch(ctx context.Context, api pricing.GetProductsAPIClient, region string) (float64, error) {
	match := func(field, value string) types.Filter {
		return types.Filter{Type: types.FilterTypeTermMatch, Field: &field, Value: &value}
	}
	pages := pricing.NewGetProductsPaginator(api, &pricing.GetProductsInput{
		ServiceCode: &w.service, FormatVersion: aws.String("aws_v1"),
		Filters: []types.Filter{match("group", w.group), match("regionCode", region)},
	})
	found := map[float64]bool{}
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, err
		}
		for _, text := range page.PriceList {
			usd, ok, err := w.read(text, region)
			if err != nil {
				return 0, err
			}
			if ok {
				// Ten digits: more are rounding errors of the product.
				figure, err := strconv.ParseFloat(strconv.FormatFloat(usd*w.unit, 'g', 10, 64), 64)
				if err != nil {
					return 0, err
				}
				found[figure] = true
			}
		}
	}
	switch prices := slices.Sorted(maps.Keys(found)); len(prices) {
	case 0:
		return 0, errNotListed
	case 1:
		return prices[0], nil
	default:
		return 0, fmt.Errorf("the price list has several: %v", prices)
	}
}

// product is an entry of the price list, as far as it is used here.
type product struct {
	Product struct {
		Attributes struct {
			Group      string `json:"group"`
			RegionCode string `json:"regionCode"`
			UsageType  string `json:"usagetype"`
		} `json:"attributes"`
	} `json:"product"`
	Terms struct {
		OnDemand map[string]struct {
			PriceDimensions map[string]struct {
				BeginRange   string            `json:"beginRange"`
				PricePerUnit map[string]string `json:"pricePerUnit"`
			} `json:"priceDimensions"`
		} `json:"OnDemand"`
	} `json:"terms"`
}

// read takes the price out of one entry; not ok: it is not the one wanted, or
// it is free.
func (w wanted) read(text, region string) (usd float64, ok bool, err error) {
	var p product
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return 0, false, fmt.Errorf("read the price list: %w", err)
	}
	a := p.Product.Attributes
	if a.Group != w.group || a.RegionCode != region || w.usage != nil && !w.usage.MatchString(a.UsageType) {
		return 0, false, nil
	}
	first := math.Inf(1) // where the tier begins whose price this is
	for _, term := range p.Terms.OnDemand {
		for _, d := range term.PriceDimensions {
			text := d.PricePerUnit["USD"]
			begins, err := strconv.ParseFloat(strings.TrimSpace(d.BeginRange), 64)
			if err != nil || begins > w.free || begins >= first || text == "" {
				continue
			}
			n, err := strconv.ParseFloat(text, 64)
			if err != nil || !(n >= 0 && n < 1) {
				return 0, false, fmt.Errorf("read the price list: price %q", text)
			}
			if n > 0 {
				usd, ok, first = n, true, begins
			}
		}
	}
	return usd, ok, nil
}

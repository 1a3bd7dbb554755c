package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/spf13/cobra"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/hint"
)

// pricesFlags is what fanout prices was asked for.
type pricesFlags struct {
	region, endpoint, out string
	aws                   bool
}

func pricesCommand() *cobra.Command {
	var pf pricesFlags
	c := &cobra.Command{
		Use:   "prices",
		Short: "Show the table of prices, or fetch a region's from AWS",
		Long: `Show the built-in table of prices. With --aws, ask the AWS Price List API for a
region's prices, with your credentials (they need pricing:GetProducts; the call
is free), and write a table that report and run accept as --prices.`,
		Example: `  fanout prices
  fanout prices --aws --region eu-central-1 -o prices.json
  fanout report --prices prices.json --region eu-central-1 results/DATE-TIME`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return pf.run(c.Context(), c.OutOrStdout()) },
	}
	c.Flags().SortFlags = false
	c.Flags().StringVar(&pf.region, "region", "", "region whose prices to show; required with --aws")
	c.Flags().BoolVar(&pf.aws, "aws", false, "ask AWS, with your credentials")
	c.Flags().StringVar(&pf.endpoint, "endpoint", "", "Price List API `URL` to ask instead of AWS")
	c.Flags().StringVarP(&pf.out, "output", "o", "", "`file` to write to instead of standard output")
	return c
}

func (pf *pricesFlags) run(ctx context.Context, stdout io.Writer) error {
	table := cost.Builtin
	switch ask := pf.aws || pf.endpoint != ""; {
	case pf.aws && pf.endpoint != "":
		return hint.Usage("see fanout help prices", "--aws and --endpoint are mutually exclusive")
	case ask && pf.region == "":
		return hint.Usage("see fanout help prices", "no region: give --region")
	case ask:
		cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(cost.APIRegion))
		if err != nil {
			return hint.Failed("check your AWS profile and environment", "read the AWS configuration: %w", err)
		}
		api := pricing.NewFromConfig(cfg, func(o *pricing.Options) {
			if pf.endpoint != "" {
				o.BaseEndpoint = &pf.endpoint
			}
		})
		p, err := cost.Fetch(ctx, api, pf.region)
		if err != nil {
			return hint.Failed(hint.AWS(err, "check that your credentials allow pricing:GetProducts, and the region's name"),
				"ask the price list: %w", err)
		}
		table = cost.Table{
			Date:    time.Now().UTC().Format(time.DateOnly),
			Sources: []string{"AWS Price List API, GetProducts, AWSLambda, AmazonS3 and AmazonStates"},
			Regions: map[string]cost.Prices{pf.region: p},
		}
	case pf.region != "":
		p, err := table.Prices(pf.region)
		if err != nil {
			return err
		}
		table.Regions = map[string]cost.Prices{pf.region: p}
	}
	if pf.out == "" {
		return table.Write(stdout)
	}
	f, err := os.Create(pf.out)
	if err != nil {
		return hint.Failed("give another -o", "write the prices: %w", err)
	}
	if err := table.Write(f); err != nil {
		_ = f.Close() // the first error is the one to tell
		return fmt.Errorf("write %s: %w", pf.out, err)
	}
	return f.Close()
}

package stack

import (
	"fmt"
	"slices"
	"strings"

	"fanout/functions/lambda"
)

// expressRegions are the regions with S3 Express One Zone. Another that AWS
// adds is to be added here
// (docs.aws.amazon.com/AmazonS3/latest/userguide/s3-express-Endpoints.html).
var expressRegions = []string{"ap-northeast-1", "ap-south-1", "eu-north-1", "eu-west-1", "us-east-1", "us-east-2", "us-west-2"}

// place refuses what there is not where the stack will be deployed. Where that
// is not known it is for AWS to say.
func (r *reader) place(c Config) {
	region := c.Account.Region
	if region == "" {
		return
	}
	if slices.Contains(c.Architectures, lambda.ARM) && isolated(region) {
		r.fail("architectures", "Lambda has no arm64 in "+region, "-c architectures="+lambda.X86+" there")
	}
	zone := c.directoryZone()
	if zone == "" {
		return
	}
	key := "bucketName"
	if c.Express {
		key = "zone"
	}
	switch {
	case !slices.Contains(expressRegions, region):
		r.fail(key, "S3 Express One Zone is not in "+region, "AWS_REGION set to one of "+strings.Join(expressRegions, ", "))
	case !strings.HasPrefix(zone, zonePrefix(region)+"-"):
		r.fail(key, fmt.Sprintf("zone %s is not in %s", zone, region),
			fmt.Sprintf("a zone of that region, as in %s-az1, or AWS_REGION set to the zone's", zonePrefix(region)))
	}
}

// isolated says whether a region is in one of the partitions for classified
// workloads, aws-iso and those after it.
func isolated(region string) bool {
	_, rest, _ := strings.Cut(region, "-")
	return strings.HasPrefix(rest, "iso")
}

// zonePrefix begins the IDs of a region's availability zones: use1 those of
// us-east-1, apne1 those of ap-northeast-1.
func zonePrefix(region string) string {
	parts := strings.Split(region, "-")
	prefix := parts[0]
	for _, part := range parts[1:] {
		for _, direction := range []string{"north", "south"} { // northeast is ne
			if rest, ok := strings.CutPrefix(part, direction); ok && rest != "" {
				prefix, part = prefix+direction[:1], rest
			}
		}
		prefix += part[:1]
	}
	return prefix
}

package stack

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"fanout/functions/lambda"
)

// newNetwork gives the VpcConfig that puts a function into a VPC, and makes
// what of that VPC is not there. It is nil where the functions are in none.
func (s *builder) newNetwork() (properties, error) {
	switch {
	case s.VPC:
		return s.newVPC(), nil
	case s.VPCID == "":
		return nil, nil
	}
	subnets := s.SubnetIDs
	if subnets == nil {
		var err error
		if subnets, err = s.lookUpSubnets(); err != nil {
			return nil, err
		}
	}
	groups := texts(s.SecurityGroupIDs)
	if len(groups) == 0 {
		groups = list{s.newGroup(s.VPCID)}
	}
	return properties{"SubnetIds": texts(subnets), "SecurityGroupIds": groups}, nil
}

// newVPC makes a VPC whose subnets have no way out but the gateway endpoint to
// S3. It has two of them, in two zones, or one in the zone of a directory
// bucket: a GET from another zone would take longer.
func (s *builder) newVPC() properties {
	s.add("Vpc", "AWS::EC2::VPC", properties{
		"CidrBlock": "10.0.0.0/16", "EnableDnsHostnames": true, "EnableDnsSupport": true, "Tags": s.tags(),
	}, findings{
		"CKV2_AWS_11":       flowLogs,
		"AwsSolutions-VPC7": flowLogs,
		"CKV2_AWS_12":       "emptying the default group, which nothing here is in, would take a function of its own",
	})
	s.add("RouteTable", "AWS::EC2::RouteTable", properties{"VpcId": ref("Vpc"), "Tags": s.tags()}, nil)
	places := []properties{
		{"AvailabilityZone": properties{"Fn::Select": list{0, properties{"Fn::GetAZs": ""}}}, "CidrBlock": "10.0.0.0/17"},
		{"AvailabilityZone": properties{"Fn::Select": list{1, properties{"Fn::GetAZs": ""}}}, "CidrBlock": "10.0.128.0/17"},
	}
	if zone := s.directoryZone(); zone != "" {
		places = []properties{{"AvailabilityZoneId": zone, "CidrBlock": "10.0.0.0/17"}}
	}
	var subnets list
	for i, place := range places {
		// A subnet does not move: another zone is another one.
		id := fmt.Sprintf("Subnet%d%s", i+1, strings.ReplaceAll(s.directoryZone(), "-", ""))
		place["VpcId"], place["MapPublicIpOnLaunch"], place["Tags"] = ref("Vpc"), false, s.tags()
		s.add(id, "AWS::EC2::Subnet", place, nil)
		s.add(id+"Routes", "AWS::EC2::SubnetRouteTableAssociation", properties{"SubnetId": ref(id), "RouteTableId": ref("RouteTable")}, nil)
		subnets = append(subnets, ref(id))
	}
	endpoints := s.endpoints()
	for _, service := range slices.Sorted(maps.Keys(endpoints)) {
		statements := endpoints[service]
		for _, st := range statements {
			st["Principal"] = properties{"AWS": "*"} // it needs one; the role's policy still decides who
		}
		s.add("Endpoint"+service, "AWS::EC2::VPCEndpoint", properties{
			"ServiceName": sub("com.amazonaws.${AWS::Region}." + service), "VpcEndpointType": "Gateway", "VpcId": ref("Vpc"),
			"RouteTableIds": list{ref("RouteTable")}, "PolicyDocument": policy(statements...),
		}, nil)
	}
	return properties{"SubnetIds": subnets, "SecurityGroupIds": list{s.newGroup(ref("Vpc"))}}
}

// endpoints are the services that functions in a VPC need, and what each may be
// asked for. A directory bucket's is another than that of a scan's results.
func (s *builder) endpoints() map[string][]statement {
	service, all := "s3", map[string][]statement{}
	if s.bucket.directory {
		service = "s3express"
	}
	all[service] = s.bucket.readStatements(s.Objects.Prefix)
	if s.Scan != nil {
		all["s3"] = append(all["s3"], s.results.partStatements()...)
	}
	return all
}

const flowLogs = "there is nothing in it but these functions, and no way out of it but to S3"

// newGroup makes a security group that lets a function ask S3 and nobody ask
// the function. To any address, since S3's are many and change; where the
// subnets have a way to others is for the VPC to say.
func (s *builder) newGroup(vpc any) properties {
	s.add("Group", "AWS::EC2::SecurityGroup", properties{
		"GroupDescription": "Fanout functions: HTTPS out and nothing in", "VpcId": vpc, "Tags": s.tags(),
		"SecurityGroupEgress": list{properties{
			"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "Description": "HTTPS to S3",
		}},
	}, nil)
	return attribute("Group", "GroupId")
}

// directoryZone is the zone of a directory bucket, "" of any other.
func (c Config) directoryZone() string {
	if c.Express {
		return c.Zone
	}
	zone, _ := lambda.DirectoryBucket(c.BucketName)
	return zone
}

// lookUpSubnets has `cdk` ask for the private subnets of a VPC, which is then
// kept in cdk.context.json. Before it knows, there is a subnet that is none.
func (s *builder) lookUpSubnets() ([]string, error) {
	unknown := properties{"subnetGroups": list{properties{
		"type": "Private", "subnets": list{properties{"subnetId": "subnet-00000000"}},
	}}}
	found := awscdk.ContextProvider_GetValue(s.stack, &awscdk.GetContextValueOptions{
		Provider: jsii.String("vpc-provider"), DummyValue: unknown, MustExist: jsii.Bool(true),
		Props: &properties{"filter": properties{"vpc-id": s.VPCID}, "returnAsymmetricSubnets": true},
	})
	vpc, _ := found.Value.(properties)
	groups, _ := vpc["subnetGroups"].(list)
	var subnets []string
	for _, g := range groups {
		group, _ := g.(properties)
		if group["type"] == "Public" {
			continue // a function there has no address of its own, and no way out by the internet gateway
		}
		inGroup, _ := group["subnets"].(list)
		for _, n := range inGroup {
			subnet, _ := n.(properties)
			if id, ok := subnet["subnetId"].(string); ok {
				subnets = append(subnets, id)
			}
		}
	}
	if len(subnets) == 0 {
		return nil, &ContextError{
			Key: "vpcId", Value: s.VPCID, Reason: "no private subnet in that VPC",
			Allowed: "-c subnetIds=ID,ID, subnets that have a route to S3, by a gateway endpoint or otherwise",
		}
	}
	return subnets, nil
}

// vpcFinding is the reason for the one wildcard that every function in a VPC
// has to have.
const vpcFinding = "Lambda's right to attach a function to a VPC cannot name a resource; the function's code is denied it"

// vpcStatements let Lambda attach a function to a VPC, and keep the function's
// own code from using that right. These actions know no resource to name.
func vpcStatements() []statement {
	actions := []string{
		"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
		"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
	}
	deny := allow("*", actions...)
	deny["Effect"] = "Deny"
	deny["Condition"] = properties{"ArnLike": properties{
		"lambda:SourceFunctionArn": sub("arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:*"),
	}}
	return []statement{allow("*", actions...), deny}
}

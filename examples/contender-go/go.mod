module fanout/examples/contender-go

go 1.26.0

require (
	fanout/functions v0.0.0
	github.com/aws/aws-lambda-go v1.55.1
	golang.org/x/sync v0.24.0
)

require (
	github.com/aws/aws-sdk-go-v2 v1.47.8 // indirect
	github.com/aws/smithy-go v1.28.8 // indirect
)

replace fanout/functions => ../../functions

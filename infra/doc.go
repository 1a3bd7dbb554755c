// Package infra is where the CDK app goes; it is empty until that work lands.
package infra

// Package scan runs a scan of all objects of a bucket: it starts an execution
// of the state machine of functions/scan, follows it, adds up the parts that it
// leaves, and writes a result file ([Header] says what is in it). Everything
// goes through the Step Functions and S3 APIs, of AWS or of this machine.
package scan

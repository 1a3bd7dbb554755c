package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/objects"
	"fanout/bench/internal/sandbox"
	"fanout/bench/internal/trial"
)

// The lab's place in AWS terms: nothing of it exists there.
const (
	labRegion  = "us-east-1"
	labAccount = "000000000000"
	labBucket  = "fanout-lab"
)

// lab is AWS on this machine: the embedded S3 and the Lambda sandbox, with
// keys made for this one time.
type lab struct {
	dir     string
	key     aws.Credentials
	s3      *objects.Server
	lambda  *sandbox.Sandbox
	targets []trial.Target
}

// newLog gives what the lab logs to: nothing, or everything to w.
func newLog(w io.Writer, verbose bool) *slog.Logger {
	if !verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// startLab starts both and makes the bucket. What it started, Close ends.
func startLab(fl *fleet, log *slog.Logger) (_ *lab, err error) {
	for _, c := range fl.contenders {
		for _, arch := range fl.archs {
			if _, err := os.Stat(c.path(arch)); err != nil {
				help := "check the path after " + c.name + "="
				if c.name == goContender {
					help = "build it first: make build (for the other architecture: make package)"
				}
				return nil, hint.Failed(help, "contender %s: %w", c.name, err)
			}
		}
	}
	sweepLabs()
	l := &lab{key: aws.Credentials{AccessKeyID: "FANOUT" + rand.Text()[:14], SecretAccessKey: rand.Text()}}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if l.dir, err = os.MkdirTemp("", fmt.Sprintf("%s%d-", labDirPrefix, os.Getpid())); err != nil {
		return nil, hint.Failed("see TMPDIR", "make a temporary folder: %w", err)
	}
	storage := objects.Config{Network: fl.network, Seed: fl.seed, Dir: l.dir, PublicRead: fl.publicRead, Region: labRegion, Log: log}
	if fl.spillAll {
		storage.MemoryBytes = -1
	}
	l.s3, err = objects.Start(storage)
	if err != nil {
		return nil, hint.Failed("see above", "start the embedded S3: %w", err)
	}
	l.s3.AddKey(l.key.AccessKeyID, l.key.SecretAccessKey)
	if err := l.s3.CreateBucket(labBucket); err != nil {
		return nil, err
	}
	cfg := sandbox.Config{
		Credentials: l.key, Region: labRegion, AccountID: labAccount, Dir: l.dir, Log: log,
		ProcessEnv: func(string) (map[string]string, func()) { return l.processEnv() },
	}
	if fl.noLimits {
		cfg.Limits = sandbox.LimitsNone
	}
	for _, c := range fl.contenders {
		for _, arch := range fl.archs {
			for _, mb := range fl.memoriesMB {
				t := trial.Target{
					Function:  fmt.Sprintf("fanout-%s-%s-%d", c.name, arch, mb),
					Contender: c.name, MemoryMB: mb, Arch: arch,
				}
				l.targets = append(l.targets, t)
				cfg.Functions = append(cfg.Functions, sandbox.Function{
					Name: t.Function, Bootstrap: c.path(arch), Arch: arch, MemoryMB: mb, Timeout: fl.timeout,
					Env: map[string]string{"BUCKET": labBucket},
				})
			}
		}
	}
	if l.lambda, err = sandbox.Start(cfg); err != nil {
		return nil, err
	}
	return l, nil
}

// processEnv lets one process into the embedded S3, under a key of its own:
// bandwidth is counted by key.
func (l *lab) processEnv() (env map[string]string, release func()) {
	id, secret := "ASIA"+rand.Text()[:16], rand.Text()
	l.s3.AddKey(id, secret)
	env = l.s3Env()
	env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env["AWS_SESSION_TOKEN"] = id, secret, "sandbox"
	env["SSL_CERT_FILE"] = l.s3.CAFile()
	return env, func() { l.s3.RemoveKey(id) }
}

func (l *lab) s3Env() map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL_S3":       l.s3.URL(),
		"AWS_CA_BUNDLE":             l.s3.CAFile(),
		"AWS_EC2_METADATA_DISABLED": "true",
	}
}

// exports is what a client on this machine needs to use the lab.
func (l *lab) exports() map[string]string {
	env := l.s3Env()
	env["AWS_ENDPOINT_URL_LAMBDA"] = l.lambda.URL()
	env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"] = l.key.AccessKeyID, l.key.SecretAccessKey
	env["AWS_REGION"], env["AWS_DEFAULT_REGION"] = labRegion, labRegion
	return env
}

// client speaks to the sandbox as it would to AWS.
func (l *lab) client() *awslambda.Client {
	return awslambda.New(awslambda.Options{
		BaseEndpoint: aws.String(l.lambda.URL()),
		Region:       labRegion,
		Credentials:  credentials.NewStaticCredentialsProvider(l.key.AccessKeyID, l.key.SecretAccessKey, ""),
		Retryer:      aws.NopRetryer{}, // a second try of an invocation would hide the first
	})
}

// seed puts the corpus.
func (l *lab) seed(ctx context.Context, fl *fleet, progress func(done, total int)) error {
	_, err := fl.corpus.Put(ctx, l.s3.Client(l.key.AccessKeyID, l.key.SecretAccessKey), labBucket, progress)
	return err
}

// Close ends every process and removes every file, port and cgroup.
func (l *lab) Close() error {
	var errs []error
	if l.lambda != nil {
		errs = append(errs, l.lambda.Close())
	}
	if l.s3 != nil {
		errs = append(errs, l.s3.Close())
	}
	if l.dir != "" {
		errs = append(errs, os.RemoveAll(l.dir))
	}
	return errors.Join(errs...)
}

// labDirPrefix and a process number name a lab's temporary folder.
const labDirPrefix = "fanout-lab-"

// sweepLabs removes the folders of labs that were killed before they could.
// What cannot be removed is left: it may be another user's.
func sweepLabs() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), labDirPrefix+"*"))
	for _, dir := range dirs {
		digits, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), labDirPrefix), "-")
		pid, err := strconv.Atoi(digits)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
}

// executable is the path of the running command.
func executable() string {
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// Package lab is AWS on this machine: the Lambda sandbox, the embedded S3 and,
// where it is asked for, Step Functions together, with a corpus and with keys made for this one time. [Start] it, then
// [Lab.Seed] it, point a client at it with [Lab.Client] or [Lab.Exports], and
// [Lab.Close] it.
package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sys/unix"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/network"
	"fanout/bench/internal/objects"
	"fanout/bench/internal/sandbox"
	"fanout/bench/internal/sandbox/cgroup"
	"fanout/bench/internal/states"
	"fanout/bench/internal/trial"
	"fanout/functions/corpus"
	"fanout/functions/lambda"
)

// Where the lab is in AWS terms: nothing of it exists there.
const (
	Region  = "us-east-1"
	Account = "000000000000"
	Bucket  = "fanout-lab"
	Results = "fanout-lab-results" // the bucket for what scans find
)

// Contender is code under a name: a bootstrap, a package, or bytes of which the
// lab makes a bootstrap for as long as it is.
type Contender struct {
	Name     string
	Embedded func(arch string) ([]byte, error) // gives the program; nil: it is Path's file
	Path     func(arch string) string
	Help     string // what to do where there is none

	Runtime string // one of lambda.Runtimes; empty: the code has a bootstrap
	Handler string
	Clients []string // the ones it has; nil: it is asked for each of the plan's
}

// Config is what [Start] needs: one function is made for each contender,
// architecture and memory size.
type Config struct {
	Contenders    []Contender
	Architectures []string
	MemoriesMB    []int
	Timeout       time.Duration     // of each function, 1 s to 15 min
	Env           map[string]string // of each contender that is not embedded

	Network    network.Model // the zero Model: network.None
	Corpus     corpus.Spec   // of no objects: there is nothing to seed
	Seed       uint64        // of the network's latencies
	NoLimits   bool          // leaves CPU and memory unlimited
	PublicRead bool          // the bucket can be read unsigned
	SpillAll   bool          // bodies are kept in files, all of them

	// Concurrency is how many invocations Lambda runs at once, of all functions
	// together; what is more is throttled (429). 0: any number.
	Concurrency int
	// Jobs adds Step Functions, a bucket for results, and a state machine for
	// each of this repository's functions that scans with it.
	Jobs bool
	// JobsDir keeps the executions and the bucket for results, for later labs;
	// "": they end with the lab.
	JobsDir string

	Log *slog.Logger // nil: none
}

// Validate says what is wrong with c, short of looking for the contenders'
// files.
func (c Config) Validate() error {
	for _, mb := range c.MemoriesMB {
		if err := lambda.CheckMemory(mb); err != nil {
			return err
		}
	}
	for _, a := range c.Architectures {
		if err := lambda.CheckArchitecture(a); err != nil {
			return err
		}
	}
	if c.Timeout < time.Second || c.Timeout > 15*time.Minute || c.Timeout%time.Second != 0 {
		return fmt.Errorf("timeout %v: must be 1s to 15m, in whole seconds", c.Timeout)
	}
	if err := sandbox.CheckEnv(c.Env); err != nil {
		return err
	}
	if c.Corpus.Count == 0 {
		return nil
	}
	return c.Corpus.Validate()
}

// Lab is what runs.
type Lab struct {
	S3       *objects.Server
	Lambda   *sandbox.Sandbox
	States   *states.Server // nil without Config.Jobs
	Targets  []trial.Target // the functions there are
	Machines []Machine      // the state machines there are
	Dir      string         // for files that are needed no longer than the lab is

	corpus corpus.Spec
	key    aws.Credentials
	lock   *os.File // that Dir is in use
}

// Start starts both and makes the bucket. What it started, Close ends. The
// error may have a hint; it is found before anything is started where a
// contender's file is missing.
func Start(cfg Config) (_ *Lab, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	for _, c := range cfg.Contenders {
		for _, arch := range cfg.Architectures {
			if c.Embedded != nil {
				continue
			}
			if _, err := os.Stat(c.Path(arch)); err != nil {
				return nil, hint.Failed(c.Help, "contender %s: %w", c.Name, err)
			}
		}
	}
	sweep()
	l := &Lab{corpus: cfg.Corpus, key: aws.Credentials{AccessKeyID: "FANOUT" + rand.Text()[:14], SecretAccessKey: rand.Text()}}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if l.Dir, l.lock, err = makeDir(); err != nil {
		return nil, hint.Failed("check TMPDIR", "create a temporary folder: %w", err)
	}
	if l.Dir, err = filepath.Abs(l.Dir); err != nil { // functions have working folders of their own
		return nil, fmt.Errorf("create a temporary folder: %w", err)
	}
	if err := l.unpack(&cfg); err != nil {
		return nil, err
	}
	// First the functions: of what they need something may be missing.
	if l.Lambda, err = sandbox.Start(l.functions(cfg)); err != nil {
		return nil, err
	}
	if err := l.startS3(cfg); err != nil {
		return nil, err
	}
	if cfg.Jobs {
		if err := l.startStates(cfg); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// startS3 starts the embedded S3, with an empty bucket.
func (l *Lab) startS3(cfg Config) (err error) {
	storage := objects.Config{
		Network: cfg.Network, Seed: cfg.Seed, Dir: l.Dir, PublicRead: cfg.PublicRead, Region: Region, Log: cfg.Log,
	}
	if cfg.SpillAll {
		storage.MemoryBytes = -1
	}
	if l.S3, err = objects.Start(storage); err != nil {
		return hint.Failed("see above", "start the embedded S3: %w", err)
	}
	if err := writeTrustStore(l.trustStore(), l.S3.CAFile()); err != nil {
		return hint.Failed("check TMPDIR's free space", "write a trust store for Java: %w", err)
	}
	l.S3.AddKey(l.key.AccessKeyID, l.key.SecretAccessKey)
	return l.S3.CreateBucket(Bucket)
}

// unpack makes files of the bootstraps that are not, and has cfg name those
// instead.
func (l *Lab) unpack(cfg *Config) error {
	cfg.Contenders = slices.Clone(cfg.Contenders)
	for i, c := range cfg.Contenders {
		if c.Embedded == nil {
			continue
		}
		path := func(arch string) string { return filepath.Join(l.Dir, c.Name+"-"+arch, "bootstrap") }
		for _, arch := range cfg.Architectures {
			program, err := c.Embedded(arch)
			if err != nil {
				return hint.Failed(c.Help, "contender %s: %w", c.Name, err)
			}
			if err = os.Mkdir(filepath.Dir(path(arch)), 0o700); err == nil {
				err = os.WriteFile(path(arch), program, 0o700)
			}
			if err != nil {
				return hint.Failed("check TMPDIR's free space", "contender %s: unpack it: %w", c.Name, err)
			}
			if err := unix.Access(path(arch), unix.X_OK); err != nil { // of a file system mounted noexec
				return hint.Failed("set TMPDIR to a folder that programs can be run from", "contender %s: run %s: %w", c.Name, path(arch), err)
			}
		}
		cfg.Contenders[i].Path = path
	}
	return nil
}

// functions gives the sandbox's configuration, and notes the functions in
// Targets.
func (l *Lab) functions(cfg Config) sandbox.Config {
	memory := map[string]int{} // of each function
	box := sandbox.Config{
		Credentials: l.key, Region: Region, AccountID: Account, Dir: l.Dir, Log: cfg.Log, Concurrency: cfg.Concurrency,
		ProcessEnv:  func(function string) (map[string]string, func()) { return l.processEnv(memory[function]) },
		CPUFactor:   cfg.Network.Factor(),
		JavaOptions: []string{"-Djavax.net.ssl.trustStore=" + l.trustStore(), "-Djavax.net.ssl.trustStoreType=JKS"},
	}
	if cfg.NoLimits {
		box.Limits = sandbox.LimitsNone
	}
	for _, c := range cfg.Contenders {
		env := map[string]string{"BUCKET": Bucket}
		if cfg.Network.Quota {
			env["BANDWIDTH"] = lambda.QuotaBandwidth
		}
		if c.Embedded == nil {
			maps.Copy(env, cfg.Env)
		}
		for _, arch := range cfg.Architectures {
			for _, mb := range cfg.MemoriesMB {
				t := trial.Target{
					Function:  fmt.Sprintf("fanout-%s-%s-%d", c.Name, arch, mb),
					Contender: c.Name, MemoryMB: mb, Arch: arch, Clients: c.Clients,
				}
				l.Targets, memory[t.Function] = append(l.Targets, t), mb
				box.Functions = append(box.Functions, sandbox.Function{
					Name: t.Function, Code: c.Path(arch), Runtime: c.Runtime, Handler: c.Handler,
					Arch: arch, MemoryMB: mb, Timeout: cfg.Timeout,
					Env: env,
				})
			}
		}
	}
	return box
}

// processEnv lets one process of a function of a memory size into the embedded
// S3, under a key of its own: bandwidth is counted by key.
func (l *Lab) processEnv(memoryMB int) (env map[string]string, release func()) {
	id, secret := "ASIA"+rand.Text()[:16], rand.Text()
	l.S3.AddFunction(id, secret, memoryMB)
	env = l.s3Env()
	env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env["AWS_SESSION_TOKEN"] = id, secret, "sandbox"
	env["SSL_CERT_FILE"] = l.S3.CAFile()
	return env, func() { l.S3.RemoveKey(id) }
}

func (l *Lab) s3Env() map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL_S3":       l.S3.URL(),
		"AWS_CA_BUNDLE":             l.S3.CAFile(),
		"NODE_EXTRA_CA_CERTS":       l.S3.CAFile(),
		"AWS_EC2_METADATA_DISABLED": "true",
	}
}

// Client speaks to the sandbox as it would to AWS.
func (l *Lab) Client() *awslambda.Client {
	return awslambda.New(awslambda.Options{
		BaseEndpoint: aws.String(l.Lambda.URL()),
		Region:       Region,
		Credentials:  credentials.NewStaticCredentialsProvider(l.key.AccessKeyID, l.key.SecretAccessKey, ""),
		Retryer:      aws.NopRetryer{}, // a second try of an invocation would hide the first
	})
}

// S3Client speaks to the embedded S3, with the same key as [Lab.Client].
func (l *Lab) S3Client() *s3.Client { return l.S3.Client(l.key.AccessKeyID, l.key.SecretAccessKey) }

// Seed puts the corpus into the bucket. progress may be nil; its calls may come
// from several goroutines. The error has a hint.
func (l *Lab) Seed(ctx context.Context, progress func(done, total int)) error {
	if err := l.S3.Generate(ctx, Bucket, l.corpus, progress); err != nil {
		if ctx.Err() != nil {
			return hint.Failed("nothing was measured yet", "interrupted")
		}
		return hint.Failed("check TMPDIR's free space", "seed the bucket: %w", err)
	}
	return nil
}

// Close ends every process and removes every file, port and cgroup.
func (l *Lab) Close() error {
	var errs []error
	if l.States != nil {
		errs = append(errs, l.States.Close())
	}
	if l.Lambda != nil {
		errs = append(errs, l.Lambda.Close())
	}
	if l.S3 != nil {
		errs = append(errs, l.S3.Close())
	}
	if l.Dir != "" {
		errs = append(errs, os.RemoveAll(l.Dir))
	}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
	}
	return errors.Join(errs...)
}

// dirPrefix and a process number name a lab's temporary folder.
const dirPrefix = "fanout-lab-"

// makeDir makes a lab's temporary folder, which is in use until the file that it
// gives is closed.
func makeDir() (string, *os.File, error) {
	for {
		dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", dirPrefix, os.Getpid()))
		if err != nil {
			return "", nil, err
		}
		lock, err := cgroup.Own(dir)
		switch {
		case err == nil:
			return dir, lock, nil
		case !errors.Is(err, os.ErrNotExist): // else somebody else's sweep came first
			return "", nil, errors.Join(err, os.Remove(dir))
		}
	}
}

// sweep removes the folders of labs that were killed before they could. What
// cannot be removed is left: it may be another user's.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	for _, dir := range dirs {
		if lock := cgroup.Abandoned(dir, dirPrefix); lock != nil {
			_ = os.RemoveAll(dir)
			_ = lock.Close()
		}
	}
}

package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"fanout/functions/corpus"
	"fanout/functions/fetch"
	"fanout/functions/store"
)

// Limits of what a stack may ask for.
const (
	// MinMemoryMB and MaxMemoryMB are Lambda's own limits.
	MinMemoryMB = 128
	MaxMemoryMB = 10_240

	// MaxMemories keeps a stack of both architectures under CloudFormation's
	// 200 outputs and 500 resources: three resources and an output a function.
	MaxMemories = 64

	// MaxFunctions does so where there are several contenders.
	MaxFunctions = 2 * MaxMemories

	// MaxObjects is what the seeder puts well within its time-out.
	MaxObjects = 10_000

	// MaxCorpusBytes is 10 GiB, which at the 75 MB/s that Lambda gives a
	// function (600 Mbit/s) takes two and a half of the seeder's ten minutes.
	MaxCorpusBytes = 10 << 30

	// maxObjectBytes is S3's limit for one PUT, 5 GiB.
	maxObjectBytes = 5 << 30

	// maxTimeout is Lambda's own limit.
	maxTimeout = 15 * time.Minute
)

// Names that are allowed, and the ones taken where nothing is said.
var (
	defaultMemories = []int{128, 256, 512, 1024, 1769, 3008}
	architectures   = []string{"arm64", "x86_64"}

	// retentions are the days that CloudWatch Logs allows.
	retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731,
		1096, 1827, 2192, 2557, 2922, 3288, 3653}
)

// GoContender is this repository's own functions, which need no zip named.
const GoContender = "go"

const (
	defaultName      = "Fanout"
	defaultTimeout   = 2 * time.Minute
	defaultRetention = 7
)

// Config is what a stack is made from. Start from [ParseContext], which
// checks every field.
type Config struct {
	Name          string        // of the CloudFormation stack
	Memories      []int         // MB, each once
	Architectures []string      // `arm64`, `x86_64`, each once
	Contenders    []Contender   // what is deployed, each once
	Objects       corpus.Spec   // the seed objects; only its Prefix counts with FunctionsOnly
	Concurrency   int           // GETs in flight; 0: the function chooses
	Client        string        // the functions' S3 client
	Timeout       time.Duration // of one invocation, whole seconds
	LogRetention  int           // days
	VPC           bool          // functions in private subnets, S3 by a gateway endpoint
	Express       bool          // an S3 Express directory bucket …
	Zone          string        // … in this availability zone's ID
	FunctionsOnly bool          // no bucket and no seeder: …
	BucketName    string        // … this bucket is read and never written
}

// Contender is one implementation of the function.
type Contender struct {
	Name string // GoContender, or another's

	// Zips are paths of packages, by architecture; on one that is not among
	// them the contender is not deployed. GoContender has none: its packages
	// are in the build folder.
	Zips map[string]string
}

// on says whether there is something to deploy on an architecture.
func (c Contender) on(arch string) bool { return c.Name == GoContender || c.Zips[arch] != "" }

// DirectoryBucket says whether the functions read an S3 Express directory
// bucket. One that was brought along tells by its name.
func (c Config) DirectoryBucket() bool {
	return c.Express || strings.HasSuffix(c.BucketName, directorySuffix)
}

// directorySuffix ends the name of every directory bucket, and of no other.
const directorySuffix = "--x-s3"

// ContextError says which context value was refused, and what is allowed.
type ContextError struct {
	Key     string
	Value   any    // as it was given
	Reason  string // what is wrong with it
	Allowed string // what would do
}

func (e *ContextError) Error() string {
	return fmt.Sprintf("context %s=%s: %s", e.Key, shown(e.Value), e.Reason)
}

// Hint says what would do instead.
func (e *ContextError) Hint() string { return "allowed: " + e.Allowed }

// shown gives a value as someone would have written it after -c KEY=.
func shown(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

var (
	nameRE = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,99}$`)

	// contenderRE is what stays readable, and can be read back, as the end of
	// an output's name.
	contenderRE = regexp.MustCompile(`^[a-z][a-z0-9]{0,15}$`)

	zoneRE   = regexp.MustCompile(`^[a-z]+[0-9]+(-[a-z]+[0-9]+)?-az[0-9]+$`)
	bucketRE = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

	// prefixRE leaves out what means something else in an IAM policy: `*`,
	// `?` and `${`.
	prefixRE = regexp.MustCompile(`^([A-Za-z0-9!_.'()=+@,-]+/)+$`)
)

// ParseContext reads the CDK context, whose values are strings when they come
// from the command line and any JSON when they come from cdk.json. What is not
// there gets its default. The error is a *[ContextError].
//
// Keys of the CDK's own have a `:`, `/` or `@` in them and are left alone; any
// other that is not known is refused, so that a slip of the pen does not
// deploy the defaults.
func ParseContext(context map[string]any) (Config, error) {
	r := &reader{context: context}
	c := Config{
		Name: r.text("stackName", defaultName, nameRE, "a letter, then up to 99 letters, digits and hyphens"),
		Memories: r.integers("memories", defaultMemories, MinMemoryMB, MaxMemoryMB, MaxMemories,
			fmt.Sprintf("up to %d different whole numbers of MB from %d to %d, as in 128,1769", MaxMemories, MinMemoryMB, MaxMemoryMB)),
		Architectures: r.words("architectures", architectures),
		Concurrency: int(r.integer("concurrency", 0, 1, fetch.MaxConcurrency,
			fmt.Sprintf("a whole number from 1 to %d; leave it out to let the function choose", fetch.MaxConcurrency))),
		Client: r.word("client", store.Default, store.Names),
		Timeout: time.Duration(r.integer("timeout", int64(defaultTimeout/time.Second), 1, int64(maxTimeout/time.Second),
			"whole seconds from 1 to 900")) * time.Second,
		LogRetention:  r.oneOf("logRetention", defaultRetention, retentions),
		VPC:           r.boolean("vpc"),
		Express:       r.boolean("express"),
		FunctionsOnly: r.boolean("functionsOnly"),
	}
	c.Zone = r.needs("zone", "express", c.Express, zoneRE, "an availability zone's ID, as in use1-az4 (`aws ec2 describe-availability-zones`)")
	c.BucketName = r.needs("bucketName", "functionsOnly", c.FunctionsOnly, bucketRE, "an S3 bucket's name: 3 to 63 of a-z, 0-9, dot and hyphen")
	c.Objects = r.objects(c.FunctionsOnly)
	c.Contenders = r.contenders(c.Architectures)
	if functions := len(c.Memories) * len(c.Architectures) * len(c.Contenders); functions > MaxFunctions {
		r.fail("contenders", fmt.Sprintf("%d functions with these memories and architectures", functions),
			fmt.Sprintf("at most %d functions in all, which is what a CloudFormation stack has room for", MaxFunctions))
	}
	if c.FunctionsOnly && c.Express {
		r.fail("express", "there is no bucket to make with functionsOnly", "leave it out: a bucketName that ends in "+directorySuffix+" is a directory bucket's")
	}
	r.unknown()
	if r.err != nil {
		return Config{}, r.err
	}
	return c, nil
}

// reader takes values out of a context and keeps the first error, so that the
// list of them reads as one.
type reader struct {
	context map[string]any
	known   []string
	err     error
}

func (r *reader) fail(key, reason, allowed string) {
	if r.err == nil {
		r.err = &ContextError{Key: key, Value: r.context[key], Reason: reason, Allowed: allowed}
	}
}

func (r *reader) get(key string) (any, bool) {
	r.known = append(r.known, key)
	v, ok := r.context[key]
	return v, ok && v != nil
}

// scalar gives a string or a number as text, and ok only for those. A number
// is given exactly or not at all: beyond 2^53 JSON readers round.
func scalar(v any) (text string, ok bool) {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v), true
	case float64:
		if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
			return "", false
		}
		return strconv.FormatFloat(v, 'f', -1, 64), true
	default:
		return "", false
	}
}

// list gives the items of a comma-separated text or a JSON array.
func list(v any) (items []string, ok bool) {
	if array, isArray := v.([]any); isArray {
		for _, item := range array {
			text, ok := scalar(item)
			if !ok {
				return nil, false
			}
			items = append(items, text)
		}
		return items, true
	}
	text, ok := scalar(v)
	for item := range strings.SplitSeq(text, ",") {
		items = append(items, strings.TrimSpace(item))
	}
	return items, ok
}

func (r *reader) text(key, missing string, pattern *regexp.Regexp, allowed string) string {
	v, ok := r.get(key)
	if !ok {
		return missing
	}
	text, isText := v.(string)
	if !isText || !pattern.MatchString(text) {
		r.fail(key, "not a valid value", allowed)
	}
	return text
}

// needs reads a key that must be there exactly when another one is true.
func (r *reader) needs(key, flag string, on bool, pattern *regexp.Regexp, allowed string) string {
	_, given := r.get(key)
	switch {
	case on && !given:
		r.fail(key, "missing, and "+flag+" needs it", allowed)
	case !on && given:
		r.fail(key, "means nothing without "+flag, "only together with "+flag+"=true")
	}
	return r.text(key, "", pattern, allowed)
}

func (r *reader) boolean(key string) bool {
	v, ok := r.get(key)
	if !ok {
		return false
	}
	switch v {
	case true, "true":
		return true
	case false, "false":
		return false
	}
	r.fail(key, "not a yes or a no", "true, false")
	return false
}

func (r *reader) word(key, missing string, allowed []string) string {
	v, ok := r.get(key)
	if !ok {
		return missing
	}
	text, _ := v.(string)
	if !slices.Contains(allowed, text) {
		r.fail(key, "not known", strings.Join(allowed, ", "))
	}
	return text
}

func (r *reader) words(key string, allowed []string) []string {
	v, ok := r.get(key)
	if !ok {
		return slices.Clone(allowed)
	}
	hint := "one or more of " + strings.Join(allowed, ", ") + ", each once"
	items, isList := list(v)
	if !isList || len(items) == 0 {
		r.fail(key, "not a list of names", hint)
		return nil
	}
	for i, item := range items {
		switch {
		case !slices.Contains(allowed, item):
			r.fail(key, fmt.Sprintf("%q is not known", item), hint)
		case slices.Contains(items[:i], item):
			r.fail(key, fmt.Sprintf("%q is there twice", item), hint)
		}
	}
	return items
}

// zipKey begins the keys that name contenders' packages: contenderZip.NAME,
// where the stack has one architecture, and contenderZip.NAME.ARCHITECTURE.
const zipKey = "contenderZip."

// contenders reads who is compared, and where their packages are.
func (r *reader) contenders(archs []string) []Contender {
	const hint = "names of up to 16 small letters and digits, each once; " + GoContender + " is this repository's own"
	names := []string{GoContender}
	if v, ok := r.get("contenders"); ok {
		var isList bool
		if names, isList = list(v); !isList || len(names) == 0 {
			r.fail("contenders", "not a list of names", hint)
			return nil
		}
	}
	var all []Contender
	for i, name := range names {
		switch {
		case !contenderRE.MatchString(name):
			r.fail("contenders", fmt.Sprintf("%q is no such name", name), hint)
		case slices.Contains(names[:i], name):
			r.fail("contenders", fmt.Sprintf("%q is there twice", name), hint)
		}
		c := Contender{Name: name}
		if name != GoContender {
			c.Zips = r.zips(name, archs)
		}
		all = append(all, c)
	}
	for _, key := range slices.Sorted(maps.Keys(r.context)) {
		if strings.HasPrefix(key, zipKey) && !slices.Contains(r.known, key) {
			r.fail(key, "means nothing with these contenders and architectures", zipKey+"NAME or "+zipKey+"NAME.ARCHITECTURE, of those; "+GoContender+" has none")
		}
	}
	return all
}

// zips reads where one contender's packages are.
func (r *reader) zips(name string, archs []string) map[string]string {
	zips := map[string]string{}
	key := zipKey + name
	read := func(key, arch string) {
		v, ok := r.get(key)
		if !ok {
			return
		}
		text, _ := v.(string)
		if !strings.HasSuffix(text, ".zip") {
			r.fail(key, "not a zip", "the path of a zip that holds a bootstrap for "+arch)
		}
		zips[arch] = text
	}
	for _, arch := range archs {
		read(key+"."+arch, arch)
	}
	if len(archs) == 1 && len(zips) == 0 {
		read(key, archs[0])
	}
	if len(zips) > 0 {
		return zips
	}
	allowed := key + "." + strings.Join(archs, "=PATH or "+key+".") + "=PATH, a zip that holds a bootstrap for that architecture"
	if len(archs) == 1 {
		allowed = key + "=PATH, a zip that holds a bootstrap for " + archs[0]
	} else if _, ok := r.get(key); ok {
		r.fail(key, "for which of "+strings.Join(archs, " and ")+"?", allowed)
	}
	r.fail("contenders", fmt.Sprintf("no package named for %q", name), allowed)
	return nil
}

func (r *reader) integer(key string, missing, least, most int64, allowed string) int64 {
	v, ok := r.get(key)
	if !ok {
		return missing
	}
	text, _ := scalar(v)
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		r.fail(key, "not a whole number", allowed)
	case n < least || n > most:
		r.fail(key, "out of range", allowed)
	}
	return n
}

func (r *reader) integers(key string, missing []int, least, most, atMost int, allowed string) []int {
	v, ok := r.get(key)
	if !ok {
		return slices.Clone(missing)
	}
	items, isList := list(v)
	if !isList || len(items) == 0 || len(items) > atMost {
		r.fail(key, "not such a list of numbers", allowed)
		return nil
	}
	var all []int
	for _, item := range items {
		n, err := strconv.Atoi(item)
		switch {
		case err != nil:
			r.fail(key, fmt.Sprintf("%q is not a whole number", item), allowed)
		case n < least || n > most:
			r.fail(key, fmt.Sprintf("%d is out of range", n), allowed)
		case slices.Contains(all, n):
			r.fail(key, fmt.Sprintf("%d is there twice", n), allowed)
		}
		all = append(all, n)
	}
	return all
}

func (r *reader) oneOf(key string, missing int, allowed []int) int {
	words := make([]string, len(allowed))
	for i, n := range allowed {
		words[i] = strconv.Itoa(n)
	}
	v, ok := r.get(key)
	if !ok {
		return missing
	}
	text, _ := scalar(v)
	if !slices.Contains(words, text) {
		r.fail(key, "not a number of days that CloudWatch Logs keeps", strings.Join(words, ", "))
		return 0
	}
	n, _ := strconv.Atoi(text) // it is one of words
	return n
}

// objects reads the seed objects' keys. With a bucket that was brought along
// there are none to seed: only the prefix is taken, and may be empty.
func (r *reader) objects(brought bool) corpus.Spec {
	s := corpus.Default()
	if v, ok := r.get("prefix"); ok {
		text, isText := v.(string)
		empty := text == "" && brought
		switch {
		case !isText || !empty && !prefixRE.MatchString(text):
			r.fail("prefix", "not such a prefix", "folder names that each end in a slash, without *, ? and $; none at all only with functionsOnly")
		case len(s.Key(0))-len(s.Prefix)+len(text) > 1024:
			r.fail("prefix", "too long", "a key, prefix included, has at most 1,024 bytes")
		}
		s.Prefix = text
	}
	if brought {
		for _, key := range []string{"objects", "minBytes", "maxBytes", "seed", "needle"} {
			if _, ok := r.get(key); ok {
				r.fail(key, "means nothing with functionsOnly", "leave it out: a bucket that was brought along is never seeded")
			}
		}
		return corpus.Spec{Prefix: s.Prefix}
	}

	s.Count = int(r.integer("objects", int64(s.Count), 1, MaxObjects,
		fmt.Sprintf("a whole number from 1 to %d, which the seeder can put within its time-out", MaxObjects)))
	if v, ok := r.get("needle"); ok {
		s.Needle, _ = scalar(v)
		if text, isText := v.(string); isText {
			s.Needle = text // spaces at its ends are its own
		}
		if s.Needle == "" || len(s.Needle) > fetch.MaxFindBytes {
			r.fail("needle", fmt.Sprintf("%d bytes long", len(s.Needle)), fmt.Sprintf("1 to %d bytes", fetch.MaxFindBytes))
		}
	}
	least := int64(max(1, len(s.Needle)))
	s.MinBytes = r.integer("minBytes", max(s.MinBytes, least), least, maxObjectBytes,
		fmt.Sprintf("whole bytes from the needle's length, here %d, to %d", least, int64(maxObjectBytes)))
	s.MaxBytes = r.integer("maxBytes", max(s.MaxBytes, s.MinBytes), s.MinBytes, maxObjectBytes,
		fmt.Sprintf("whole bytes from minBytes, here %d, to %d", s.MinBytes, int64(maxObjectBytes)))
	if v, ok := r.get("seed"); ok {
		text, _ := scalar(v)
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			r.fail("seed", "not such a number", "a whole number from 0 to 18446744073709551615; as text above 9007199254740992")
		}
		s.Seed = seed
	}
	if r.err != nil {
		return s
	}
	if err := s.Validate(); err != nil {
		r.fail("objects", err.Error(), "what the message says") // unreachable while the checks above are as strict
		return s
	}
	if total := s.TotalBytes(); total > MaxCorpusBytes {
		r.fail("maxBytes", fmt.Sprintf("the objects would take %d bytes in all", total),
			fmt.Sprintf("at most %d bytes in all, which the seeder can put within its time-out", int64(MaxCorpusBytes)))
	}
	return s
}

// unknown refuses keys that nothing asked for.
func (r *reader) unknown() {
	var strange []string
	for key := range r.context {
		if !strings.ContainsAny(key, ":/@") && !slices.Contains(r.known, key) {
			strange = append(strange, key)
		}
	}
	if len(strange) == 0 {
		return
	}
	slices.Sort(strange)
	allowed := slices.Sorted(slices.Values(r.known))
	r.fail(strange[0], "no such key", strings.Join(slices.Compact(allowed), ", "))
}

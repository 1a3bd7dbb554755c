package stack

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"fanout/functions/corpus"
	"fanout/functions/fetch"
)

// reader takes values out of a context and keeps the first error, so that the
// list of them reads as one.
type reader struct {
	context map[string]any
	cdk     map[string]bool // keys that the CDK keeps; see CDKContext
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

// split gives the items of a comma-separated text or a JSON array.
func split(v any) (items []string, ok bool) {
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
	items, isList := split(v)
	if !isList || len(items) == 0 {
		r.fail(key, "not a list of names", hint)
		return nil
	}
	for i, item := range items {
		switch {
		case !slices.Contains(allowed, item):
			r.fail(key, fmt.Sprintf("%q is not known", item), hint)
		case slices.Contains(items[:i], item):
			r.fail(key, fmt.Sprintf("%q is listed twice", item), hint)
		}
	}
	return items
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
	items, isList := split(v)
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
			r.fail(key, fmt.Sprintf("%d is listed twice", n), allowed)
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

// ids reads a list of IDs of one kind.
func (r *reader) ids(key string, atMost int, pattern *regexp.Regexp, allowed string) []string {
	v, ok := r.get(key)
	if !ok {
		return nil
	}
	all, isList := split(v)
	if !isList || len(all) == 0 || len(all) > atMost {
		r.fail(key, "not such a list", allowed)
		return nil
	}
	for i, item := range all {
		switch {
		case !pattern.MatchString(item):
			r.fail(key, fmt.Sprintf("%q is no such ID", item), allowed)
		case slices.Contains(all[:i], item):
			r.fail(key, fmt.Sprintf("%q is listed twice", item), allowed)
		}
	}
	return all
}

// bucketName reads the name of a bucket that was brought along.
func (r *reader) bucketName(brought bool) string {
	const allowed = "an S3 bucket's name: 3 to 63 of a-z, 0-9, dot and hyphen"
	name := r.needs("bucketName", "functionsOnly", brought, anyText, allowed)
	if name != "" {
		if wrong := wrongBucketName(name); wrong != "" {
			r.fail("bucketName", wrong, allowed)
		}
	}
	return name
}

var (
	anyText   = regexp.MustCompile(`.`)
	addressRE = regexp.MustCompile(`^[0-9]+(\.[0-9]+){3}$`)
)

// wrongBucketName says what is wrong with a bucket's name, "" if nothing
// (docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html).
func wrongBucketName(name string) string {
	strange := strings.IndexFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-'
	})
	switch {
	case strings.Contains(name, "://") || strings.HasPrefix(name, "arn:"):
		return "a bucket's name is meant, without scheme or ARN"
	case strange >= 0:
		return fmt.Sprintf("%q is not allowed in it", []rune(name[strange:])[0])
	case len(name) < 3 || len(name) > 63:
		return fmt.Sprintf("%d characters long", len(name))
	case strings.Contains(name, ".."):
		return "two adjacent dots"
	case strings.ContainsAny(name[:1]+name[len(name)-1:], ".-"):
		return "its ends must be letters or digits"
	case addressRE.MatchString(name):
		return "looks like an IP address"
	}
	return ""
}

// wrongPrefix says what is wrong with a prefix, "" if nothing. `*`, `?` and `$`
// would mean something else in an IAM policy.
func wrongPrefix(prefix string) string {
	strange := strings.IndexFunc(prefix, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("!_.'()=+@,-/", c)
	})
	switch {
	case strings.HasPrefix(prefix, "/"):
		return "begins with a slash, which would be a folder without a name"
	case strings.Contains(prefix, "//"):
		return "two adjacent slashes, a folder without a name"
	case strange >= 0 && prefix[strange] == ' ':
		return "a space is not allowed in it"
	case strange >= 0:
		return fmt.Sprintf("%q is not allowed in it", []rune(prefix[strange:])[0])
	case !strings.HasSuffix(prefix, "/"):
		return "does not end in a slash"
	}
	return ""
}

// objects reads the seed objects' keys. With a bucket that was brought along
// there are none to seed: only the prefix is taken, and is that of the whole
// bucket unless there is one.
func (r *reader) objects(brought bool) corpus.Spec {
	s := corpus.Default()
	if brought {
		s.Prefix = ""
	}
	if v, ok := r.get("prefix"); ok {
		const allowed = "names of folders, each with a slash at its end, of letters, digits and !_.'()=+@,-"
		text, isText := v.(string)
		switch {
		case !isText:
			r.fail("prefix", "not text", allowed)
		case text == "" && !brought:
			r.fail("prefix", "empty, which only functionsOnly may have", allowed)
		case len(s.Key(0))-len(s.Prefix)+len(text) > 1024:
			r.fail("prefix", "too long", "a key, prefix included, has at most 1,024 bytes")
		case text != "":
			if wrong := wrongPrefix(text); wrong != "" {
				r.fail("prefix", wrong, allowed)
			}
		}
		s.Prefix = text
	}
	if brought {
		for _, key := range []string{"objects", "minBytes", "maxBytes", "shape", "lognormal", "seed", "needle"} {
			if _, ok := r.get(key); ok {
				r.fail(key, "means nothing with functionsOnly", "leave it out: an existing bucket is never seeded")
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
	s = r.sizes(s)
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
		key := "maxBytes"
		if _, ok := s.Shape.Lognormal(); ok {
			key = "lognormal"
		} else if !s.Shape.IsZero() {
			key = "shape"
		}
		r.fail(key, fmt.Sprintf("the objects would take %d bytes in all", total),
			fmt.Sprintf("at most %d bytes in all, which the seeder can put within its time-out", int64(MaxCorpusBytes)))
	}
	return s
}

// sizes reads how large the seed objects are: between bounds, or of a shape.
func (r *reader) sizes(s corpus.Spec) corpus.Spec {
	file, fromFile := r.get("shape")
	figures, fromFigures := r.get("lognormal")
	if !fromFile && !fromFigures {
		least := int64(max(1, len(s.Needle)))
		s.MinBytes = r.integer("minBytes", max(s.MinBytes, least), least, maxObjectBytes,
			fmt.Sprintf("whole bytes from the needle's length, here %d, to %d", least, int64(maxObjectBytes)))
		s.MaxBytes = r.integer("maxBytes", max(s.MaxBytes, s.MinBytes), s.MinBytes, maxObjectBytes,
			fmt.Sprintf("whole bytes from minBytes, here %d, to %d", s.MinBytes, int64(maxObjectBytes)))
		return s
	}
	key := "shape"
	if !fromFile {
		key = "lognormal"
	}
	for _, other := range []string{"minBytes", "maxBytes", "lognormal"} {
		if _, ok := r.get(other); ok && other != key {
			r.fail(other, "means nothing with "+key, "leave out one of them")
		}
	}
	if r.err != nil {
		return s
	}
	var shape corpus.Shape
	var err error
	allowed := "a file with sizes: JSON of aws s3api list-objects-v2, S3 Inventory's CSV, or plain numbers"
	if fromFile {
		path, _ := file.(string)
		shape, err = corpus.ReadShapeFile(path)
	} else {
		allowed = "median and 99th percentile in bytes, such as 12000,400000"
		items, _ := split(figures)
		shape, err = corpus.ParseLognormal(strings.Join(items, ","))
	}
	if err == nil {
		s = s.WithShape(shape)
		err = s.Validate()
	}
	if err != nil {
		r.fail(key, err.Error(), allowed)
	}
	return s
}

// unknown refuses keys that nothing asked for, except others'.
func (r *reader) unknown() {
	var strange []string
	for key := range r.context {
		if !slices.Contains(r.known, key) && !r.others(key) {
			strange = append(strange, key)
		}
	}
	if len(strange) == 0 {
		return
	}
	slices.Sort(strange)
	allowed := slices.Sorted(slices.Values(r.known))
	reason := "no such key"
	if i := slices.IndexFunc(allowed, func(ours string) bool { return alike(ours, strange[0]) }); i >= 0 {
		reason += "; did you mean " + allowed[i] + "?"
	}
	r.fail(strange[0], reason, strings.Join(slices.Compact(allowed), ", "))
}

// others says whether a key that is not one of ours belongs to the CDK or to
// another tool. No list of such keys could stay complete: ours are told from
// them by their shape, which has no punctuation but the dots and hyphens in the
// names of contenders, and by where they stand (see [CDKContext]).
func (r *reader) others(key string) bool {
	if slices.ContainsFunc(r.known, func(ours string) bool { return alike(ours, key) }) {
		return false // bucket-name: a slip of the pen
	}
	return strings.ContainsAny(key, ":/@") || strings.Contains(key, "-") && !strings.HasPrefix(key, "contender") || r.cdk[key]
}

// alike says whether two keys differ in case, hyphens and underscores only.
func alike(a, b string) bool {
	plain := strings.NewReplacer("-", "", "_", "")
	return strings.EqualFold(plain.Replace(a), plain.Replace(b))
}

// CDKContext gives the keys that the CDK itself keeps for an app in the folder
// dir, in cdk.context.json, and for a user in the file at user, which is
// ~/.cdk.json: what it looked up, and what `cdk acknowledge` and `cdk
// cli-telemetry` noted. A file that is missing, or is not JSON, has none: the
// CDK says so itself.
func CDKContext(dir, user string) map[string]bool {
	keys := map[string]bool{}
	if text, err := os.ReadFile(filepath.Join(dir, "cdk.context.json")); err == nil {
		addKeys(keys, text)
	}
	var settings struct{ Context json.RawMessage }
	if text, err := os.ReadFile(user); err == nil && json.Unmarshal(text, &settings) == nil {
		addKeys(keys, settings.Context)
	}
	return keys
}

func addKeys(to map[string]bool, object []byte) {
	var context map[string]json.RawMessage
	if json.Unmarshal(object, &context) == nil {
		for key := range context {
			to[key] = true
		}
	}
}

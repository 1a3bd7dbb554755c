package corpus

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unique"
)

// maxS3ObjectBytes is the size of the largest object that S3 takes, 48.8 TiB:
// 10,000 parts of 5 GiB
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
const maxS3ObjectBytes = 10_000 * 5 << 30

// ReadShapeFile is [ReadShape] of a file; the shape has its name, without the
// folder.
func ReadShapeFile(path string) (Shape, error) {
	if path == "" { // of a variable that is not set
		return Shape{}, errors.New("shape: no file is named")
	}
	f, err := os.Open(path)
	if err != nil {
		return Shape{}, fmt.Errorf("read shape: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read from
	return ReadShape(filepath.Base(path), f)
}

// ReadShape reads the sizes of a real bucket's objects, in constant memory. r is
// one of the following, gzipped or not:
//
//   - the JSON of aws s3api list-objects-v2, or of list-object-versions, whose
//     latest versions count; or an array of its objects, or of numbers;
//   - a CSV file of S3 Inventory, which has no header line: its first columns
//     are Bucket, Key, Size, or Bucket, Key, VersionId, IsLatest, IsDeleteMarker,
//     Size; or a CSV with a header line that names a column Size;
//   - sizes in bytes, with white space between them.
//
// The error says where there is something that is no size.
func ReadShape(name string, r io.Reader) (Shape, error) {
	var h sizeHistogram
	read := sizeReader{add: func(size int64) { h.add(size) }}
	err := read.all(r)
	if err == nil && read.n == 0 {
		err = errors.New("there are no sizes in it")
	}
	if err != nil {
		return Shape{}, fmt.Errorf("read shape %s: %w", name, err)
	}
	t := h.table()
	t.name = printable(name)
	if len(t.name) > maxShapeName {
		t.name = strings.ToValidUTF8(t.name[:maxShapeName], "")
	}
	if err := t.validate(); err != nil {
		return Shape{}, fmt.Errorf("read shape %s: %w", name, err)
	}
	return Shape{unique.Make(t)}, nil
}

// sizeReader finds the sizes in a file.
type sizeReader struct {
	add func(size int64)
	n   int // sizes so far
}

// size takes in one, which stands somewhere as text.
func (s *sizeReader) size(text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case strings.Trim(strings.TrimPrefix(text, "-"), "0123456789") != "" || strings.Trim(text, "-") == "":
		return fmt.Errorf("%s: must be a size in bytes, a whole number", shortened(text))
	case n < 0:
		return fmt.Errorf("%s: must be a size in bytes, 0 or more", shortened(text))
	case err != nil || n > maxS3ObjectBytes:
		return fmt.Errorf("%s: must be at most %d bytes, S3's largest object", shortened(text), int64(maxS3ObjectBytes))
	}
	s.n++
	s.add(n)
	return nil
}

// shortened quotes what may be long, or binary.
func shortened(text string) string {
	const most = 40
	if len(text) > most {
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}

// all reads a file of whatever kind.
func (s *sizeReader) all(r io.Reader) error {
	b := bufio.NewReader(r)
	if magic, _ := b.Peek(2); string(magic) == "\x1f\x8b" {
		plain, err := gzip.NewReader(b)
		if err != nil {
			return fmt.Errorf("unzip: %w", err)
		}
		b = bufio.NewReader(plain)
	}
	start, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for magic, kind := range map[string]string{
		"PAR1": "Parquet", "ORC": "ORC", "PK\x03\x04": "a zip", "\x1f\x8b": "gzip in gzip", "\xff\xfe": "UTF-16", "\xfe\xff": "UTF-16",
	} {
		if strings.HasPrefix(string(start), magic) {
			return fmt.Errorf("it is %s: must be JSON, CSV or plain numbers, in UTF-8, gzipped or not", kind)
		}
	}
	if bytes.HasPrefix(start, []byte("\uFEFF")) {
		_, _ = b.Discard(len("\uFEFF")) // it was peeked at
	}
	head, err := b.Peek(b.Size())
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return err
	}
	first := bytes.TrimLeft(head, " \t\r\n")
	line, _, _ := bytes.Cut(first, []byte("\n"))
	switch {
	case len(first) == 0:
		return nil
	case listedByCLI.Match(line):
		return errors.New("it is the output of aws s3 ls: must be that of aws s3api list-objects-v2")
	case first[0] == '{' || first[0] == '[' || bytes.HasPrefix(first, []byte("null")):
		return s.json(b)
	case bytes.ContainsAny(line, `,"`):
		return s.csv(b)
	}
	return s.words(b)
}

// listedByCLI matches a line of aws s3 ls, of an object or of a common prefix.
var listedByCLI = regexp.MustCompile(`^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d |PRE )`)

// lineWords tells lines of two numbers, as uniq -c makes them of a count and a
// size, from those of --output text: it has tabs between sizes, and only the last
// of its lines, of which each is a page, may have two. A file of two sizes on its
// only line is one, too.
type lineWords struct {
	words       int
	led, spaced bool // there is a space before the first one, behind one
	lines       int  // that have words
	pairs       int  // of those, of two
	suspect     int  // the first of those that has a space between the two
}

// end ends a line, counted from 1.
func (l *lineWords) end(line int) error {
	if l.words > 0 {
		l.lines++
	}
	if l.words == 2 {
		if l.pairs++; l.suspect == 0 && (l.spaced || l.pairs > 1) {
			l.suspect = line
		}
	}
	if l.suspect > 0 && (l.lines > 1 || l.led) {
		return fmt.Errorf("line %d: two numbers: is it a count and a size, as uniq -c gives; must be a size for each object, and nothing else",
			l.suspect)
	}
	l.words, l.led, l.spaced = 0, false, false
	return nil
}

// words reads sizes with white space between them. The first word may be the
// name of the column.
func (s *sizeReader) words(b *bufio.Reader) error {
	line, first := 1, true
	var word []byte
	var on lineWords
	for {
		c, err := b.ReadByte()
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", line, err)
		}
		if err == nil && !bytes.ContainsRune([]byte(" \t\r\n"), rune(c)) {
			if word = append(word, c); len(word) > 64 {
				return fmt.Errorf("line %d: %s: must be a size in bytes, a whole number", line, shortened(string(word)))
			}
			continue
		}
		if len(word) > 0 {
			if text := string(word); !first || columnName(text) != "size" {
				if err := s.size(text); err != nil {
					return fmt.Errorf("line %d: %w", line, err)
				}
				on.words++
			} else {
				on.lines++
			}
			word, first = word[:0], false
		}
		on.led, on.spaced = on.led || c == ' ' && on.words == 0, on.spaced || c == ' ' && on.words == 1
		if err != nil {
			return on.end(line)
		}
		if c == '\n' {
			if err := on.end(line); err != nil {
				return err
			}
			line++
		}
	}
}

// columnName makes IsLatest, is_latest and "Is Latest" alike.
func columnName(text string) string {
	return strings.NewReplacer("_", "", " ", "", "-", "").Replace(strings.ToLower(strings.TrimSpace(text)))
}

// maxRecord bounds a record of a CSV file: a key has at most 1,024 bytes, each
// of them three as it is encoded.
const maxRecord = 64 << 10

// recordReader ends a file in which a record does not end.
type recordReader struct {
	r    io.Reader
	left int
}

func (r *recordReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, fmt.Errorf("a record has more than %d bytes: is a quotation mark missing", maxRecord)
	}
	n, err := r.r.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

// csv reads a CSV file.
func (s *sizeReader) csv(b *bufio.Reader) error {
	bounded := &recordReader{r: b, left: maxRecord}
	records := csv.NewReader(bounded)
	records.ReuseRecord = true
	var columns sizeColumns
	for first := true; ; first = false {
		record, err := records.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err // it names the line
		}
		bounded.left = maxRecord
		line, _ := records.FieldPos(0)
		if first {
			header := false
			if columns, header, err = findColumns(record); err != nil {
				return fmt.Errorf("line %d: %w", line, err)
			}
			if header {
				continue
			}
		}
		if !columns.counts(record) {
			continue
		}
		if err := s.size(record[columns.size]); err != nil {
			return fmt.Errorf("line %d, column %d: %w", line, columns.size+1, err)
		}
	}
}

// sizeColumns says where a record has what matters, from 0; -1: nowhere.
type sizeColumns struct{ size, latest, marker int }

// findColumns tells from a file's first record, which may be a header.
func findColumns(record []string) (c sizeColumns, header bool, err error) {
	names := make([]string, len(record))
	for i, field := range record {
		names[i] = columnName(field)
	}
	c = sizeColumns{slices.Index(names, "size"), slices.Index(names, "islatest"), slices.Index(names, "isdeletemarker")}
	digits := func(i int) bool {
		return i < len(record) && record[i] != "" && strings.Trim(record[i], "0123456789") == ""
	}
	truth := func(i int) bool { return i < len(names) && (names[i] == "true" || names[i] == "false") }
	switch {
	case c.size >= 0 && !slices.ContainsFunc(record, func(f string) bool { return f != "" && strings.Trim(f, "0123456789") == "" }):
		return c, true, nil
	case truth(3) && truth(4) && len(record) > 5:
		return sizeColumns{5, 3, 4}, false, nil
	case digits(0) && digits(1): // nearly no bucket and key are
		return c, false, errors.New("its first columns are numbers: a list of sizes must have white space between them, and a CSV of " +
			"objects a header line with Size")
	case digits(2):
		return sizeColumns{2, -1, -1}, false, nil
	}
	const allowed = "must begin Bucket, Key, Size, as S3 Inventory's CSV does (or with VersionId, IsLatest, IsDeleteMarker before Size)," +
		" or have a header line with Size"
	if len(record) > 2 {
		return c, false, fmt.Errorf("it does not say which column is the size, and column 3 has %s, which is none in bytes: %s",
			shortened(record[2]), allowed)
	}
	return c, false, errors.New("it does not say which column is the size: " + allowed)
}

// counts says whether a record is of an object that a reader would find.
func (c sizeColumns) counts(record []string) bool {
	return (c.latest < 0 || columnName(record[c.latest]) != "false") && (c.marker < 0 || columnName(record[c.marker]) != "true")
}

// listed is an object in a listing.
type listed struct {
	Size     json.Number
	IsLatest *bool
}

// json reads one listing after the other.
func (s *sizeReader) json(b *bufio.Reader) error {
	d := json.NewDecoder(b)
	d.UseNumber()
	for {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("JSON: %w", err)
		case token == json.Delim('{'):
			err = s.listing(d)
		case token == json.Delim('['):
			err = s.array(d)
		case token == nil: // what --query gives of an empty bucket
		default:
			err = fmt.Errorf("%v: must be a listing, an array of objects with Size, or an array of numbers", token)
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("JSON, at byte %d: %w", d.InputOffset(), err)
		}
	}
}

// listing reads the rest of an answer of ListObjectsV2 or ListObjectVersions.
func (s *sizeReader) listing(d *json.Decoder) error {
	found := false
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if name != "Contents" && name != "Versions" {
			var skip json.RawMessage
			if err := d.Decode(&skip); err != nil {
				return err
			}
			found = found || name == "KeyCount" || name == "RequestCharged" || name == "Name" // of an empty bucket
			continue
		}
		found = true
		token, err := d.Token()
		switch {
		case err != nil:
			return err
		case token == json.Delim('['):
			if err := s.array(d); err != nil {
				return err
			}
		case token != nil:
			return fmt.Errorf("%v %v: must be an array", name, token)
		}
	}
	if !found {
		return errors.New("no Contents: must be the answer of aws s3api list-objects-v2")
	}
	_, err := d.Token() // the end
	return err
}

// array reads the rest of an array.
func (s *sizeReader) array(d *json.Decoder) error {
	for d.More() {
		var one json.RawMessage
		if err := d.Decode(&one); err != nil {
			return err
		}
		size := json.Number(one)
		if one[0] == '{' {
			var o listed
			if err := json.Unmarshal(one, &o); err != nil {
				return fmt.Errorf("%s: %w", shortened(string(one)), err)
			}
			if o.IsLatest != nil && !*o.IsLatest {
				continue
			}
			if size = o.Size; size == "" {
				return fmt.Errorf("%s: has no Size", shortened(string(one)))
			}
		}
		if err := s.size(string(size)); err != nil {
			return err
		}
	}
	_, err := d.Token() // the end
	return err
}

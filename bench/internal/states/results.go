package states

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	// resultFileBytes is about how large a result file gets before the next
	// one is begun. The service's get up to 5 GB
	// (docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html);
	// here one is put in one request, and is in memory for that.
	resultFileBytes = 1 << 20
	// resultsTime is how long writing the results of a Map Run may take that
	// was stopped.
	resultsTime = time.Hour
)

// destination is where a ResultWriter writes; the zero one is none.
type destination struct{ bucket, prefix string }

// destination evaluates a ResultWriter's Parameters.
func (d *distributed) destination(sc scope) (to destination, err error) {
	if d.writer == nil {
		return to, nil
	}
	if to.bucket, err = parameter(d.writer, "Bucket", sc); err != nil {
		return to, err
	}
	if d.writer.field("Prefix") != nil {
		to.prefix, err = parameter(d.writer, "Prefix", sc)
	}
	return to, err
}

// folder is the one of a Map Run: PREFIX/UUID/.
func (r *mapRun) folder(to destination) string {
	if to.prefix == "" {
		return r.id + "/"
	}
	return to.prefix + "/" + r.id + "/"
}

// resultFile is one that manifest.json names.
type resultFile struct {
	Key  string
	Size int
}

// writeResults writes what ResultWriter does: a file for each status, in which
// the records of all children stand, and manifest.json. Of a redriven Map Run
// all that ever succeeded are in it, and what failed or waits now.
func (r *mapRun) writeResults(ctx context.Context, d *distributed, to destination, unfinished bool) error {
	if d.writer == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, resultsTime)
	defer cancel()
	files := map[string][]resultFile{}
	w := &resultWriter{ctx: ctx, r: r, to: to}
	for status, records := range map[string]func(*resultWriter) error{
		succeeded: r.succeededRecords, failed: r.failedRecords, pending: r.pendingRecords,
	} {
		if status == pending && !unfinished {
			continue
		}
		w.status, w.files = status, nil
		err := records(w)
		if err == nil {
			err = w.end()
		}
		if err != nil {
			return fail(errResultWriter, "write the results to s3://%s/%s: %v", to.bucket, r.folder(to), err)
		}
		files[status] = w.files
	}
	type list = []resultFile
	text, err := json.Marshal(struct {
		DestinationBucket string
		MapRunArn         string
		ResultFiles       map[string]list
	}{to.bucket, r.arn, map[string]list{
		failed: orEmpty(files[failed]), pending: orEmpty(files[pending]), succeeded: orEmpty(files[succeeded]),
	}})
	if err == nil {
		_, err = r.s.cfg.S3.PutObject(ctx, &s3.PutObjectInput{
			Bucket: aws.String(to.bucket), Key: aws.String(r.folder(to) + "manifest.json"), Body: bytes.NewReader(text),
			ContentType: aws.String("application/json"),
		})
	}
	if err != nil {
		return fail(errResultWriter, "write s3://%s/%smanifest.json: %v", to.bucket, r.folder(to), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range []*counts{&r.items, &r.children} {
		c.resultsWritten = c.succeeded + c.failed + c.timedOut + c.aborted
	}
	return nil
}

func orEmpty(l []resultFile) []resultFile {
	if l == nil {
		return []resultFile{}
	}
	return l
}

// eachOutcome calls each with every line of the outcomes.
func (r *mapRun) eachOutcome(each func(o outcome) error) error {
	return eachLine(r.outcomes, func(line []byte, _ int64) error {
		var o outcome
		if err := json.Unmarshal(line, &o); err != nil {
			return fmt.Errorf("read the outcomes: %w", err)
		}
		return each(o)
	})
}

func (r *mapRun) succeededRecords(w *resultWriter) error {
	return r.eachOutcome(func(o outcome) error {
		if o.Status != succeeded {
			return nil
		}
		return w.put(o)
	})
}

func (r *mapRun) failedRecords(w *resultWriter) error {
	r.mu.Lock()
	again := r.again
	r.mu.Unlock()
	for _, l := range again {
		o := outcome{Status: aborted, Index: l.index, Offset: l.offset, Size: l.size, Items: l.items, ID: newID()}
		if l.outcome >= 0 {
			line, err := bufio.NewReader(&tail{r.outcomes, l.outcome}).ReadBytes('\n')
			if err == nil {
				err = json.Unmarshal(line, &o)
			}
			if err != nil {
				return fmt.Errorf("read an outcome: %w", err)
			}
		}
		if err := w.put(o); err != nil {
			return err
		}
	}
	return nil
}

// pendingRecords are those of the children that were never started.
func (r *mapRun) pendingRecords(w *resultWriter) error {
	q := &spool{source: r.spool.source, taken: r.spool.taken, offset: r.spool.offset}
	r.spool.mu.Lock()
	count := r.spool.count
	r.spool.mu.Unlock()
	for q.taken < count {
		c, err := q.read()
		if err != nil {
			return err
		}
		if err := w.put(outcome{Status: pending, Offset: c.offset, Size: c.size, ID: newID()}); err != nil {
			return err
		}
	}
	return nil
}

// output is what a Map that succeeded gives: where the results are, or an array
// of them, those of failed children left out.
func (r *mapRun) output(d *distributed, to destination) (any, error) {
	if d.writer != nil {
		return map[string]any{
			"MapRunArn":           r.arn,
			"ResultWriterDetails": map[string]any{"Bucket": to.bucket, "Key": r.folder(to) + "manifest.json"},
		}, nil
	}
	results := map[int64]json.RawMessage{}
	size := 0
	err := r.eachOutcome(func(o outcome) error {
		if o.Status == succeeded {
			results[o.Index] = o.Output
			size += len(o.Output) + 1
		}
		if size > MaxData {
			return fail(errDataLimit, "The results of the Map Run exceed the maximum number of bytes service limit: let a ResultWriter write them")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := []any{}
	for i := range r.spool.count {
		if v, ok := results[i]; ok {
			all = append(all, v)
		}
	}
	return all, nil
}

// resultWriter puts records of children into JSON arrays, in files of one
// status each.
type resultWriter struct {
	ctx    context.Context
	r      *mapRun
	to     destination
	status string

	files  []resultFile
	buffer []byte // of the file
	input  []byte
}

// put appends a child's record.
func (w *resultWriter) put(o outcome) error {
	if len(w.buffer) >= resultFileBytes {
		if err := w.end(); err != nil {
			return err
		}
	}
	w.input = slices.Grow(w.input[:0], int(o.Size))[:o.Size]
	if _, err := w.r.spool.source.ReadAt(w.input, o.Offset); err != nil {
		return fmt.Errorf("read a batch: %w", err)
	}
	separator := byte(',')
	if len(w.buffer) == 0 {
		separator = '['
	}
	w.buffer = w.r.appendRecord(append(w.buffer, separator), o, w.input)
	return nil
}

// appendRecord appends a child's entry in a result file.
func (r *mapRun) appendRecord(b []byte, o outcome, input []byte) []byte {
	b = appendString(append(b, `{"ExecutionArn":`...), r.childARN(o.ID))
	b = appendString(append(b, `,"Input":`...), input)
	b = appendString(append(b, `,"InputDetails":{"Included":true},"Name":`...), o.ID)
	switch o.Status {
	case succeeded:
		b = appendString(append(b, `,"Output":`...), o.Output)
		b = append(b, `,"OutputDetails":{"Included":true},"RedriveStatus":"NOT_REDRIVABLE"`...)
		b = append(b, `,"RedriveStatusReason":"Execution is SUCCEEDED and cannot be redriven"`...)
	case pending:
		b = append(b, `,"RedriveStatus":"NOT_REDRIVABLE"`...)
	default:
		if o.Error != "" {
			b = appendString(append(b, `,"Error":`...), o.Error)
			b = appendString(append(b, `,"Cause":`...), o.Cause)
		}
		status := "REDRIVABLE"
		if r.kind == Express {
			status = "REDRIVABLE_BY_MAP_RUN"
		}
		b = appendString(append(b, `,"RedriveStatus":`...), status)
	}
	if !o.Started.IsZero() {
		b = appendString(append(b, `,"StartDate":`...), stamp(o.Started))
		b = appendString(append(b, `,"StopDate":`...), stamp(o.Stopped))
	}
	b = strconv.AppendInt(append(b, `,"RedriveCount":`...), int64(o.Redrives), 10)
	b = appendString(append(b, `,"StateMachineArn":`...), r.machineARN())
	return append(appendString(append(b, `,"Status":`...), o.Status), '}')
}

// end puts the file, if there is one.
func (w *resultWriter) end() error {
	if len(w.buffer) == 0 {
		return nil
	}
	w.buffer = append(w.buffer, ']')
	key := fmt.Sprintf("%s%s_%d.json", w.r.folder(w.to), w.status, len(w.files))
	_, err := w.r.s.cfg.S3.PutObject(w.ctx, &s3.PutObjectInput{
		Bucket: aws.String(w.to.bucket), Key: aws.String(key), Body: bytes.NewReader(w.buffer), ContentType: aws.String("application/json"),
	})
	if err != nil {
		return err
	}
	w.files = append(w.files, resultFile{key, len(w.buffer)})
	w.buffer = w.buffer[:0]
	return nil
}

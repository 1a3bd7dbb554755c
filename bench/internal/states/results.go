package states

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	// resultFileBytes is how large a result file gets before the next one is
	// begun. The service's get up to 5 GB
	// (docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html);
	// here one is never more than what is put in one request.
	resultFileBytes = 8 << 20
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
	for status, records := range map[string]func(func([]byte) error) error{
		succeeded: r.succeededRecords,
		failed:    r.failedRecords,
		pending: func(put func([]byte) error) error {
			if !unfinished {
				return nil
			}
			return r.pendingRecords(put)
		},
	} {
		w := &resultWriter{ctx: ctx, s3: r.s.cfg.S3, to: to, name: r.folder(to) + status}
		err := records(w.put)
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

func (r *mapRun) succeededRecords(put func([]byte) error) error {
	return r.eachOutcome(func(o outcome) error {
		if o.Status != succeeded {
			return nil
		}
		record, err := r.record(o)
		if err != nil {
			return err
		}
		return put(record)
	})
}

func (r *mapRun) failedRecords(put func([]byte) error) error {
	r.mu.Lock()
	again := r.again
	r.mu.Unlock()
	for _, l := range again {
		o := outcome{Status: aborted, Index: l.index, Offset: l.offset, Size: l.size, Items: l.items, ID: newID()}
		if l.outcome >= 0 {
			line, err := bufio.NewReader(io.NewSectionReader(r.outcomes, l.outcome, 1<<62)).ReadBytes('\n')
			if err == nil {
				err = json.Unmarshal(line, &o)
			}
			if err != nil {
				return fmt.Errorf("read an outcome: %w", err)
			}
		}
		record, err := r.record(o)
		if err != nil {
			return err
		}
		if err := put(record); err != nil {
			return err
		}
	}
	return nil
}

// pendingRecords are those of the children that were never started.
func (r *mapRun) pendingRecords(put func([]byte) error) error {
	q := &spool{file: r.spool.file, source: r.spool.source, taken: r.spool.taken, offset: r.spool.offset}
	r.spool.mu.Lock()
	count := r.spool.count
	r.spool.mu.Unlock()
	for q.taken < count {
		c, err := q.read()
		if err != nil {
			return err
		}
		record, err := r.record(outcome{Status: pending, Offset: c.offset, Size: c.size, ID: newID()})
		if err != nil {
			return err
		}
		if err := put(record); err != nil {
			return err
		}
	}
	return nil
}

// record is a child's entry in a result file.
func (r *mapRun) record(o outcome) ([]byte, error) {
	c := child{offset: o.Offset, size: o.Size}
	if err := r.spool.load(&c); err != nil {
		return nil, err
	}
	included := json.RawMessage(`{"Included":true}`)
	m := map[string]any{
		"ExecutionArn": r.childARN(o.ID), "Input": string(c.input), "InputDetails": included, "Name": o.ID,
		"RedriveCount": o.Redrives, "RedriveStatus": "NOT_REDRIVABLE", "StateMachineArn": r.machineARN(), "Status": o.Status,
	}
	if !o.Started.IsZero() {
		m["StartDate"], m["StopDate"] = stamp(o.Started), stamp(o.Stopped)
	}
	switch o.Status {
	case succeeded:
		m["Output"], m["OutputDetails"] = string(o.Output), included
		m["RedriveStatusReason"] = "Execution is SUCCEEDED and cannot be redriven"
	case failed, timedOut, aborted:
		m["RedriveStatus"] = "REDRIVABLE"
		if r.kind == Express {
			m["RedriveStatus"] = "REDRIVABLE_BY_MAP_RUN"
		}
		if o.Error != "" {
			m["Error"], m["Cause"] = o.Error, o.Cause
		}
	}
	return appendValue(nil, m), nil
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

// resultWriter puts records into a JSON array, in files of one status.
type resultWriter struct {
	ctx  context.Context
	s3   *s3.Client
	to   destination
	name string // STATUS, with the folder before it

	files  []resultFile
	buffer []byte
}

// put appends a record.
func (w *resultWriter) put(record []byte) error {
	if n := len(w.buffer); n > 0 && n+len(record) > resultFileBytes {
		if err := w.end(); err != nil {
			return err
		}
	}
	separator := byte(',')
	if len(w.buffer) == 0 {
		separator = '['
	}
	w.buffer = append(append(w.buffer, separator), record...)
	return nil
}

// end ends the file, if there is one.
func (w *resultWriter) end() error {
	if len(w.buffer) == 0 {
		return nil
	}
	w.buffer = append(w.buffer, ']')
	key := fmt.Sprintf("%s_%d.json", w.name, len(w.files))
	_, err := w.s3.PutObject(w.ctx, &s3.PutObjectInput{
		Bucket: aws.String(w.to.bucket), Key: aws.String(key), Body: bytes.NewReader(w.buffer), ContentType: aws.String("application/json"),
	})
	if err != nil {
		return err
	}
	w.files = append(w.files, resultFile{key, len(w.buffer)})
	w.buffer = w.buffer[:0]
	return nil
}

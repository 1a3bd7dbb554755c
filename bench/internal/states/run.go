package states

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// workflow is one run of a machine: an execution, a child of a Map Run, or an
// iteration of an inline Map.
type workflow struct {
	s       *Server
	x       *execution // nil but for the execution's own states, of which history is kept
	machine *machine
	context map[string]any // the context object, without State
}

// run goes through the states from at on.
func (w *workflow) run(ctx context.Context, at string, input any) (any, error) {
	for {
		st := w.machine.states[at]
		if err := w.x.entered(st, input); err != nil {
			return nil, err
		}
		out, next, err := w.step(ctx, st, input)
		if err == nil && len(encodeValue(out)) > MaxData {
			err = fail(errDataLimit, "The state/task '%s' returned a result with a size exceeding the maximum number of bytes service limit.",
				st.name)
		}
		if err != nil {
			return nil, err
		}
		if err := w.x.exited(st, out); err != nil {
			return nil, err
		}
		if next == "" {
			return out, nil
		}
		at, input = next, out
	}
}

// step runs one state, with its Retry and Catch, and gives its output and the
// name of the next state, empty at the end.
func (w *workflow) step(ctx context.Context, st *state, raw any) (out any, next string, err error) {
	entered := time.Now()
	used := make([]int64, len(st.retry))
	for retries := 0; ; retries++ {
		c := maps.Clone(w.context)
		c["State"] = map[string]any{"EnteredTime": stamp(entered), "Name": st.name, "RetryCount": retries}
		out, next, err = w.try(ctx, st, raw, c)
		if err == nil {
			return out, next, nil
		}
		if ctx.Err() != nil {
			return nil, "", context.Cause(ctx)
		}
		f := asFailure(err)
		i := slices.IndexFunc(st.retry, func(r retrier) bool { return matches(r.names, f) })
		if i >= 0 && used[i] < st.retry[i].maxAttempts {
			if err := w.s.sleep(ctx, st.retry[i].delay(used[i], rand.Float64())); err != nil {
				return nil, "", err
			}
			used[i]++
			w.x.forget()
			continue
		}
		if i = slices.IndexFunc(st.catch, func(c catcher) bool { return matches(c.names, f) }); i < 0 {
			return nil, "", f
		}
		caught := map[string]any{"Error": f.Name, "Cause": f.Cause}
		out, err = combine(st.catch[i].resultPath, st.catch[i].noResult, raw, caught)
		return out, st.catch[i].next, err
	}
}

// delay is how many seconds to wait before another attempt, after so many that
// this retrier made. u is a random number below 1.
func (r retrier) delay(used int64, u float64) float64 {
	d := r.interval * math.Pow(r.backoff, float64(used))
	if r.maxDelay > 0 {
		d = min(d, r.maxDelay)
	}
	if r.jitter {
		d *= u
	}
	return d
}

// seconds gives the time that a definition's seconds take.
func (s *Server) seconds(n float64) time.Duration {
	return time.Duration(min(n*float64(s.second), math.MaxInt64/2))
}

func (s *Server) sleep(ctx context.Context, seconds float64) error {
	t := time.NewTimer(s.seconds(seconds))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// try runs a state once, through all its filters:
// docs.aws.amazon.com/step-functions/latest/dg/concepts-input-output-filtering.html.
func (w *workflow) try(ctx context.Context, st *state, raw any, c map[string]any) (out any, next string, err error) {
	sc := scope{raw, c}
	if sc.input, err = narrow(st.inputPath, st.noInput, sc); err != nil {
		return nil, "", err
	}
	next = st.next
	var result any
	switch st.kind {
	case "Fail":
		return nil, "", st.failure(sc)
	case "Succeed":
		out, err = narrow(st.outputPath, st.noOutput, sc)
		return out, "", err
	case "Choice":
		if next, err = st.choose(sc); err != nil {
			return nil, "", err
		}
		out, err = narrow(st.outputPath, st.noOutput, sc)
		return out, next, err
	case "Pass":
		if result, err = fill(st.parameters, sc, sc.input); err == nil && st.hasResult {
			result = st.result
		}
	case "Task":
		result, err = w.task(ctx, st, sc)
	case "Map":
		if st.inline != nil {
			result, err = w.iterate(ctx, st, sc)
		} else {
			result, err = w.distribute(ctx, st, sc)
		}
	}
	if err != nil {
		return nil, "", err
	}
	if result, err = fill(st.selector, scope{result, c}, result); err != nil {
		return nil, "", err
	}
	if out, err = combine(st.resultPath, st.noResult, raw, result); err != nil {
		return nil, "", err
	}
	out, err = narrow(st.outputPath, st.noOutput, scope{out, c})
	return out, next, err
}

// narrow is InputPath and OutputPath.
func narrow(p *path, discard bool, sc scope) (any, error) {
	switch {
	case discard:
		return map[string]any{}, nil
	case p == nil:
		return sc.input, nil
	}
	return sc.follow(*p)
}

// combine is ResultPath: what of the raw input and the result goes on.
func combine(p *path, discard bool, raw, result any) (any, error) {
	switch {
	case discard:
		return raw, nil
	case p == nil:
		return result, nil
	}
	return p.put(raw, result)
}

func (st *state) failure(sc scope) error {
	f := &Failure{st.errorName, st.cause}
	for _, by := range []struct {
		p  *path
		to *string
	}{{st.errorPath, &f.Name}, {st.causePath, &f.Cause}} {
		if by.p == nil {
			continue
		}
		v, err := sc.follow(*by.p)
		if err == nil {
			v, err = plain(v)
		}
		if err != nil {
			return err
		}
		text, ok := v.(string)
		if !ok {
			return fail(errRuntime, "The path '%s' must lead to a string, not %s", by.p.text, kindOf(v))
		}
		*by.to = text
	}
	return f
}

func (st *state) choose(sc scope) (string, error) {
	for _, r := range st.rules {
		if ok, err := r.holds(sc); err != nil {
			return "", err
		} else if ok {
			return r.next, nil
		}
	}
	if st.otherwise == "" {
		return "", fail(errNoChoiceMatched, "No choice rule of '%s' applies, and there is no Default", st.name)
	}
	return st.otherwise, nil
}

// iterate runs an inline Map: all iterations, of which the first failure ends
// the others.
func (w *workflow) iterate(ctx context.Context, st *state, sc scope) (any, error) {
	m := st.inline
	items, err := m.items(sc)
	if err != nil {
		return nil, err
	}
	limit, err := m.concurrency.in(sc)
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = mostIterations
	}
	results := w.x.keptResults(st.name, len(items))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	busy := make(chan struct{}, int(min(limit, mostIterations)))
	go func() {
		defer close(done)
		for i := range items {
			if results[i] != nil {
				continue // it succeeded before a redrive
			}
			select {
			case busy <- struct{}{}:
			case <-ctx.Done():
				return
			}
			go func() {
				defer func() { <-busy }()
				out, err := w.iteration(ctx, m, sc, items[i], i)
				if err != nil {
					cancel(err) // the first one counts
					return
				}
				results[i] = encodeValue(out)
			}()
		}
	}()
	<-done
	for range cap(busy) { // until each is back
		busy <- struct{}{}
	}
	if err := context.Cause(ctx); err != nil {
		if f := new(Failure); errors.As(err, &f) {
			w.x.keepResults(st.name, results)
		}
		return nil, err
	}
	return joined(results), nil
}

// joined is the array of the results, and not one byte more.
func joined(results []json.RawMessage) any {
	all := make([]any, len(results))
	for i, r := range results {
		all[i] = r
	}
	return all
}

func (w *workflow) iteration(ctx context.Context, m *inline, sc scope, item any, i int) (any, error) {
	input, err := m.itemInput(sc, item, i, "STATE_DATA")
	if err != nil {
		return nil, err
	}
	sub := &workflow{s: w.s, machine: m.processor, context: w.context}
	return sub.run(ctx, m.processor.startAt, input)
}

// items gives the array that a Map iterates over.
func (it *iterated) items(sc scope) ([]any, error) {
	v := sc.input
	var err error
	if it.itemsPath != nil {
		if v, err = sc.follow(*it.itemsPath); err != nil {
			return nil, err
		}
	}
	if v, err = plain(v); err != nil {
		return nil, fail(errRuntime, "%v", err)
	}
	items, ok := v.([]any)
	if !ok {
		return nil, fail(errRuntime, "Reference path \"%s\" must point to array.", it.itemsText())
	}
	return items, nil
}

func (it *iterated) itemsText() string {
	if it.itemsPath == nil {
		return "$"
	}
	return it.itemsPath.text
}

// itemInput is what ItemSelector makes of an item.
func (it *iterated) itemInput(sc scope, item any, index int, source string) (any, error) {
	if it.selector == nil {
		return item, nil
	}
	sc.context = withItem{sc.context.(map[string]any), &mapItem{int64(index), item, source}}
	return fill(it.selector, sc, item)
}

// withItem is the context object with Map.Item beside what it has.
type withItem struct {
	base map[string]any
	item *mapItem
}

func (c withItem) field(name string) (any, bool) {
	if name == "Map" {
		return onlyItem{c.item}, true
	}
	v, ok := c.base[name]
	return v, ok
}

func (c withItem) names() []string {
	all := append(slices.Collect(maps.Keys(c.base)), "Map")
	slices.Sort(all)
	return all
}

// onlyItem is $$.Map.
type onlyItem struct{ item *mapItem }

func (m onlyItem) field(name string) (any, bool) { return m.item, name == "Item" }
func (m onlyItem) names() []string               { return []string{"Item"} }

// mapItem is $$.Map.Item.
type mapItem struct {
	index  int64
	value  any
	source string
}

func (m *mapItem) field(name string) (any, bool) {
	switch name {
	case "Index":
		return m.index, true
	case "Source":
		return m.source, true
	case "Value":
		return m.value, true
	}
	return nil, false
}

func (m *mapItem) names() []string { return []string{"Index", "Source", "Value"} }

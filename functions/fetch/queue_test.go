package fetch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

func page(from, n int) []Object {
	p := make([]Object, n)
	for i := range p {
		p[i].Key = fmt.Sprint(from + i)
	}
	return p
}

// Every object is taken once, with its place in list order, by however many.
func TestQueue(t *testing.T) {
	for _, tc := range []struct {
		name    string
		pages   []int
		workers int
	}{
		{"nothing listed", nil, 3},
		{"an empty page among others", []int{2, 0, 3}, 1},
		{"fewer objects than workers", []int{2}, 8},
		{"several pages, several workers", []int{1000, 1000, 7}, 16},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := newQueue()
			total := 0
			for _, n := range tc.pages {
				total += n
			}
			var got []item
			var mu sync.Mutex
			var wg sync.WaitGroup
			for range tc.workers {
				wg.Go(func() {
					for {
						it, ok := q.take()
						if !ok {
							return
						}
						mu.Lock()
						got = append(got, it)
						mu.Unlock()
					}
				})
			}
			from := 0
			for _, n := range tc.pages {
				if err := q.add(t.Context(), page(from, n)); err != nil {
					t.Fatal(err)
				}
				from += n
			}
			q.end()
			wg.Wait()
			slices.SortFunc(got, func(a, b item) int { return a.index - b.index })
			for i, it := range got {
				if it.index != i || it.key != fmt.Sprint(i) {
					t.Fatalf("item %d is %+v", i, it)
				}
			}
			if len(got) != total || q.put != total {
				t.Errorf("%d taken, %d put, want %d", len(got), q.put, total)
			}
		})
	}
}

// The lister runs one page ahead, no more, and does not wait for ever.
func TestQueueWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		q := newQueue()
		var err error
		added := 0
		go func() {
			defer q.end()
			for ; err == nil; added++ {
				err = q.add(ctx, page(2*added, 2))
			}
		}()
		for taken := range 5 {
			q.take()
			synctest.Wait()
			if want := taken/2 + 1; q.put != 2*want || added != want {
				t.Fatalf("%d taken: %d pages added, %d objects put, want %d pages", taken+1, added, q.put, want)
			}
		}
		cause := errors.New("enough")
		cancel(cause)
		synctest.Wait()
		if !errors.Is(err, cause) || q.put != 6 {
			t.Errorf("add returned %v with %d put, want %v with 6", err, q.put, cause)
		}
		if it, ok := q.take(); !ok || it.key != "5" {
			t.Errorf("%+v, %t: what was handed over is there to take", it, ok)
		}
		if it, ok := q.take(); ok {
			t.Errorf("%+v after the end", it)
		}
	})
}

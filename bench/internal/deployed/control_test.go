package deployed

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"fanout/bench/internal/lambdatest"
)

// fake is a Lambda with one function of this description, and a control that
// waits for nothing.
func fake(t *testing.T, description string) (*lambdatest.Service, *Control) {
	t.Helper()
	s := lambdatest.Start(t)
	s.Add("f", lambdatest.Function{MemoryMB: 512, Arch: "arm64", Description: description})
	return s, hasty(s)
}

// hasty is a control that holds no pace.
func hasty(s *lambdatest.Service) *Control {
	return NewControl(s.Client(), 0)
}

// descriptions are what a function's may be before it is changed.
func descriptions() map[string]string {
	return map[string]string{
		"none":                    "",
		"text":                    "reads objects",
		"several lines":           "reads\nobjects\n",
		"a space at the end":      "mine ",
		"brackets of its own":     "mine [cold start]",
		"something like the mark": "mine [cold start forced by hand at 2026]",
		"other scripts":           "読む — Ångström 🦀",
		"room for words":          strings.Repeat("x", 190),
		"no room for words":       strings.Repeat("x", 220),
		"little room":             strings.Repeat("x", 245),
	}
}

// A description comes back as it was, whatever it was and however often it was
// changed.
func TestControlRestores(t *testing.T) {
	for name, description := range descriptions() {
		s, c := fake(t, description)
		for range 3 {
			before := s.Description("f")
			if err := c.ForceCold(t.Context(), "f"); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			changed := s.Description("f")
			if changed == before || !strings.HasPrefix(changed, description) || len(utf16.Encode([]rune(changed))) > maxDescription {
				t.Errorf("%s: %q became %q", name, before, changed)
			}
		}
		if err := c.Restore(t.Context()); err != nil || s.Description("f") != description {
			t.Errorf("%s: %q, %v", name, s.Description("f"), err)
		}
		calls := s.Calls(lambdatest.Update, "f")
		if err := c.Restore(t.Context()); err != nil || s.Calls(lambdatest.Update, "f") != calls {
			t.Errorf("%s: restored again: %v", name, err)
		}
	}
}

// After a run that was killed, another control puts the description right: at
// once, or when it forces cold starts of its own.
func TestControlAfterAKill(t *testing.T) {
	for name, description := range descriptions() {
		s, killed := fake(t, description)
		if err := killed.ForceCold(t.Context(), "f"); err != nil {
			t.Fatal(err)
		}
		next := hasty(s)
		if found, err := next.PutRight(t.Context(), "f"); !found || err != nil || s.Description("f") != description {
			t.Errorf("%s: put right: %q, %v, %v", name, s.Description("f"), found, err)
		}
		if found, err := next.PutRight(t.Context(), "f"); found || err != nil {
			t.Errorf("%s: put right again: %v, %v", name, found, err)
		}
		// One that does not look first does not take the mark for the original.
		if err := killed.ForceCold(t.Context(), "f"); err != nil {
			t.Fatal(err)
		}
		if err := next.ForceCold(t.Context(), "f"); err != nil {
			t.Fatal(err)
		}
		if err := next.Restore(t.Context()); err != nil || s.Description("f") != description {
			t.Errorf("%s: restored: %q, %v", name, s.Description("f"), err)
		}
	}
}

// What versions before the mark left cannot be put right, and that is said.
func TestControlLost(t *testing.T) {
	const left = "cold start forced by fanout at 2026-11-25T18:39:31.123456789Z"
	s, c := fake(t, left)
	if found, err := c.PutRight(t.Context(), "f"); found || !errors.Is(err, ErrLost) || s.Description("f") != left {
		t.Errorf("%v, %v, %q", found, err, s.Description("f"))
	}
}

// A description that leaves no room stays as it is: the cold start is not
// forced.
func TestControlNoRoom(t *testing.T) {
	description := strings.Repeat("x", maxDescription)
	s, c := fake(t, description)
	if err := c.ForceCold(t.Context(), "f"); err == nil || !strings.Contains(err.Error(), "no room for a mark") {
		t.Error(err)
	}
	if err := c.Restore(t.Context()); err != nil || s.Description("f") != description {
		t.Errorf("%q, %v", s.Description("f"), err)
	}
}

// What somebody else writes in the meantime stays, and is said.
func TestControlLeavesOthersAlone(t *testing.T) {
	s, c := fake(t, "mine")
	if err := c.ForceCold(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	s.Describe("f", "theirs")
	err := c.Restore(t.Context())
	if err == nil || !strings.Contains(err.Error(), "somebody else has changed it meanwhile") || s.Description("f") != "theirs" {
		t.Errorf("%q, %v", s.Description("f"), err)
	}

	// Between the look and the change, too: the revision tells.
	s, c = fake(t, "mine")
	if err := c.ForceCold(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	s.Script(lambdatest.Update, "f", lambdatest.Then(func() { s.Describe("f", "theirs") }))
	err = c.Restore(t.Context())
	if err == nil || !strings.Contains(err.Error(), "somebody else has changed it meanwhile") || s.Description("f") != "theirs" {
		t.Errorf("at the same time: %q, %v", s.Description("f"), err)
	}

	// A change of something else is no reason to leave the mark.
	s, c = fake(t, "mine")
	if err := c.ForceCold(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	s.Script(lambdatest.Update, "f", lambdatest.Then(func() { s.Describe("f", s.Description("f")) }))
	if err := c.Restore(t.Context()); err != nil || s.Description("f") != "mine" {
		t.Errorf("another change: %q, %v", s.Description("f"), err)
	}
}

// An update that is denied changes nothing, and leaves nothing to undo.
func TestControlDenied(t *testing.T) {
	s, c := fake(t, "mine")
	s.Always(lambdatest.Update, "f", lambdatest.Fault(http.StatusForbidden, "AccessDeniedException"))
	if err := c.ForceCold(t.Context(), "f"); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Error(err)
	}
	if err := c.Restore(t.Context()); err != nil || s.Calls(lambdatest.Update, "f") != 1 {
		t.Errorf("%v after %d updates", err, s.Calls(lambdatest.Update, "f"))
	}
}

// A change that was made though its answer was lost, or met somebody else's, is
// a change: it takes effect, and is undone.
func TestControlLostAnswer(t *testing.T) {
	for name, step := range map[string]func(*lambdatest.Service) lambdatest.Step{
		"the answer was lost": func(s *lambdatest.Service) lambdatest.Step { return s.Late(lambdatest.Update, "f", lambdatest.Drop) },
		"it broke off": func(s *lambdatest.Service) lambdatest.Step {
			return s.Late(lambdatest.Update, "f", lambdatest.BreakOff)
		},
		"it was a 500": func(s *lambdatest.Service) lambdatest.Step {
			return s.Late(lambdatest.Update, "f", lambdatest.Fault(http.StatusInternalServerError, "ServiceException"))
		},
		"another change came first": func(s *lambdatest.Service) lambdatest.Step {
			return lambdatest.Then(func() { s.Describe("f", "mine") })
		},
	} {
		s, c := fake(t, "mine")
		s.Script(lambdatest.Update, "f", step(s))
		if err := c.ForceCold(t.Context(), "f"); err != nil || s.Description("f") == "mine" {
			t.Errorf("%s: %q, %v", name, s.Description("f"), err)
		}
		if err := c.Restore(t.Context()); err != nil || s.Description("f") != "mine" {
			t.Errorf("%s: restored: %q, %v", name, s.Description("f"), err)
		}
	}

	// Ctrl-C while the answer is waited for: the change is undone, too.
	s, c := fake(t, "mine")
	ctx, cancel := context.WithCancel(t.Context())
	s.Script(lambdatest.Update, "f", s.Late(lambdatest.Update, "f", lambdatest.Then(cancel)))
	s.Always(lambdatest.Update, "f", nil)
	if err := c.ForceCold(ctx, "f"); err == nil {
		t.Error("interrupted, and nothing was said")
	}
	if err := c.Restore(t.Context()); err != nil || s.Description("f") != "mine" {
		t.Errorf("interrupted: restored: %q, %v", s.Description("f"), err)
	}
}

func FuzzUnmark(f *testing.F) {
	for _, d := range descriptions() {
		f.Add(d)
	}
	f.Add("x [cold start forced by fanout at 2026-11-25T18:39:31.000000000Z]")
	f.Add("x" + shortMark + "1")
	f.Fuzz(func(t *testing.T, description string) {
		if _, ours := unmark(description); ours {
			return // nobody writes that but fanout
		}
		text, ok := mark(description, 7, time.Unix(0, 0))
		if !ok {
			return
		}
		if got, found := unmark(text); !found || got != description {
			t.Errorf("%q became %q, and %q", description, text, got)
		}
	})
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	repository = ".."
	drawingIn  = "docs/architecture.md"
	drawingOf  = "```rooms"
)

// The drawing of the rooms in docs/architecture.md is what the code is: each
// package of the three modules stands there once, with the packages of the
// repository that it imports, and all of those stand below it.
func TestRooms(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, drawingIn))
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := parseRooms(string(text))
	if err != nil {
		t.Fatalf("%s: %v", drawingIn, err)
	}
	wrong := wrongRooms(drawn, importsOf(t))
	for _, w := range wrong {
		t.Errorf("%s: %s", drawingIn, w)
	}
}

// importsOf gives the repository's packages, tests left out, and which of its
// own packages each imports.
func importsOf(t *testing.T) map[string][]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./bench/...", "./infra/...", "./functions/...")
	cmd.Dir, cmd.Env = repository, append(os.Environ(), "GOOS=linux")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	const module = "fanout/"
	imports := map[string][]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return imports
		} else if err != nil {
			t.Fatal(err)
		}
		var own []string
		for _, path := range p.Imports {
			if room, ok := strings.CutPrefix(path, module); ok {
				own = append(own, room)
			}
		}
		imports[strings.TrimPrefix(p.ImportPath, module)] = own
	}
}

// room is one line of the drawing.
type room struct {
	path    string
	imports []string
}

// String is the line as it stands in the drawing; a long one goes on in
// indented lines.
func (r room) String() string {
	line, column := r.path+": imports", 0
	column = len(line)
	imports := r.imports
	if len(imports) == 0 {
		imports = []string{"nothing"}
	}
	for _, i := range imports {
		if column += 1 + len(i); column > 100 {
			line += "\n "
			column = 2 + len(i)
		}
		line += " " + i
	}
	return line
}

// parseRooms reads the drawing: lines like "bench: imports bench/internal/hint",
// or "imports nothing". An indented line continues the one before.
func parseRooms(text string) ([]room, error) {
	_, drawing, _ := strings.Cut(text, "\n"+drawingOf+"\n")
	drawing, _, ended := strings.Cut(drawing, "\n```")
	if !ended {
		return nil, fmt.Errorf("no block that begins with %s", drawingOf)
	}
	var rooms []room
	for line := range strings.Lines(drawing) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case strings.HasPrefix(line, " ") && len(rooms) > 0:
			last := &rooms[len(rooms)-1]
			last.imports = append(last.imports, words...)
		case len(words) < 3 || !strings.HasSuffix(words[0], ":") || words[1] != "imports":
			return nil, fmt.Errorf("%q: must be ROOM: imports ROOM ROOM, or ROOM: imports nothing", strings.TrimSpace(line))
		case words[2] == "nothing":
			rooms = append(rooms, room{path: strings.TrimSuffix(words[0], ":")})
		default:
			rooms = append(rooms, room{strings.TrimSuffix(words[0], ":"), words[2:]})
		}
	}
	return rooms, nil
}

// wrongRooms says what must be written differently in the drawing.
func wrongRooms(drawn []room, imports map[string][]string) []string {
	var wrong []string
	at := map[string]int{} // line of the drawing
	for i, r := range drawn {
		own, exists := imports[r.path]
		if _, twice := at[r.path]; twice {
			wrong = append(wrong, r.path+" stands there twice: remove one line")
			continue
		}
		at[r.path] = i
		want := room{r.path, slices.Sorted(slices.Values(own))}
		switch {
		case !exists:
			wrong = append(wrong, r.path+" is no package: remove its line")
		case r.String() != want.String():
			wrong = append(wrong, fmt.Sprintf("replace\n%s\nby\n%s", r, want))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(imports)) {
		own := slices.Sorted(slices.Values(imports[path]))
		line, there := at[path]
		if !there {
			wrong = append(wrong, fmt.Sprintf("add, above what it imports,\n%s", room{path, own}))
			continue
		}
		for _, below := range own {
			if other, there := at[below]; there && other < line {
				wrong = append(wrong, fmt.Sprintf("%s imports upwards: move the line of %s below it, or do not import it", path, below))
			}
		}
	}
	return wrong
}

func TestWrongRooms(t *testing.T) {
	imports := map[string][]string{"bench": {"functions/b", "functions/a"}, "functions/a": {"functions/b"}, "functions/b": nil}
	const right = "bench: imports functions/a functions/b\nfunctions/a: imports functions/b\nfunctions/b: imports nothing\n"
	for _, tc := range []struct{ name, drawing, want string }{
		{"right", right, ""},
		{"a continued line", strings.Replace(right, "functions/a ", "functions/a\n  ", 1), ""},
		{"an import that is not drawn", strings.Replace(right, " functions/a functions/b", " functions/a", 1),
			"replace\nbench: imports functions/a\nby\nbench: imports functions/a functions/b"},
		{"an import that is drawn only", strings.Replace(right, "nothing", "bench", 1),
			"replace\nfunctions/b: imports bench\nby\nfunctions/b: imports nothing"},
		{"a package that is not drawn", strings.Replace(right, "functions/a: imports functions/b\n", "", 1),
			"add, above what it imports,\nfunctions/a: imports functions/b"},
		{"a room that is no package", right + "functions/c: imports nothing\n", "functions/c is no package: remove its line"},
		{"twice", right + "functions/b: imports nothing\n", "functions/b stands there twice: remove one line"},
		{"upwards", "functions/b: imports nothing\n" + strings.Replace(right, "functions/b: imports nothing\n", "", 1),
			"bench imports upwards: move the line of functions/b below it, or do not import it"},
	} {
		drawn, err := parseRooms("# x\n\n" + drawingOf + "\n" + tc.drawing + "```\n")
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		wrong := append(wrongRooms(drawn, imports), "")
		if wrong[0] != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, wrong, tc.want)
		}
	}
	for _, text := range []string{
		"", "# x\n```\nbench: imports nothing\n```\n",
		"\n" + drawingOf + "\nbench -> infra\n```\n", "\n" + drawingOf + "\nbench: imports\n```\n",
	} {
		if _, err := parseRooms(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

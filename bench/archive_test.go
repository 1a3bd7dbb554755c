//go:build archive

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"fanout/functions/lambda"
)

// releaseFolder is where make release writes.
const releaseFolder = "../build/release"

// unpack gives the folder that the archive for a processor contains.
func unpack(t *testing.T, goarch string) string {
	t.Helper()
	archives, err := filepath.Glob(filepath.Join(releaseFolder, "fanout-*-linux-"+goarch+".tar.gz"))
	if err != nil || len(archives) != 1 {
		t.Fatalf("archives for %s in %s: %v, %v; want one: make release", goarch, releaseFolder, archives, err)
	}
	f, err := os.Open(archives[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read from
	unzip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for files := tar.NewReader(unzip); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		body, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, body, h.FileInfo().Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, strings.TrimSuffix(filepath.Base(archives[0]), ".tar.gz"))
}

// alone is the unpacked command where there is nothing else: no Go, no make, no
// repository, not one program on PATH.
func alone(t *testing.T, root string, args ...string) (cmd *exec.Cmd, temp string) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), filepath.Join(root, "fanout"), args...)
	cmd.Dir, temp = t.TempDir(), t.TempDir()
	cmd.Env = []string{"PATH=" + t.TempDir(), "TMPDIR=" + temp}
	return cmd, temp
}

// TestArchive: the command of the archive needs nothing but itself, and leaves
// nothing behind but its results.
func TestArchive(t *testing.T) {
	root := unpack(t, runtime.GOARCH)
	pass := regexp.MustCompile(`(?m)^go: [0-9]+ passed, 0 failed, [0-9]+ skipped$`)
	for _, c := range []struct {
		name string
		args []string
		want *regexp.Regexp // on standard output
	}{
		{"run", []string{"run", "--memory", "512", "--objects", "50", "--invocations", "1", "--cold", "1", "--concurrency", "8"},
			regexp.MustCompile(`(?m)^ +512 lean +8 +(none +)?1 +[0-9]+ `)},
		{"check", []string{"check"}, pass},
		{"perf", []string{"perf", "--parts", "clients", "--memory", "1769", "--rounds", "1"}, regexp.MustCompile(`(?m)^ *1769 +baseline `)},
		{"version", []string{"version"}, regexp.MustCompile(`(?s)^fanout +\S+\ncommit +[0-9a-f]{40}\ndate +\S+Z\ngo +go1\S+\nplatform +` +
			runtime.GOOS + "/" + runtime.GOARCH + "\n$")},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd, temp := alone(t, root, c.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
			}
			if !c.want.Match(stdout.Bytes()) {
				t.Errorf("want %s, got\n%s%s", c.want, &stdout, &stderr)
			}
			if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
				t.Errorf("left in TMPDIR: %v, %v", left, err)
			}
		})
	}
}

// TestArchiveContents: what is in it beside the command, and that each of it is
// of this build.
func TestArchiveContents(t *testing.T) {
	root := unpack(t, runtime.GOARCH)
	for path, want := range map[string]string{
		"README.md": "# Fanout", "LICENSE": "MIT License", "CHANGELOG.md": "# Changelog", "SECURITY.md": "# Security",
		"THIRD_PARTY_NOTICES.txt": "github.com/spf13/cobra",
		"docs/install.md":         "# Install", "completions/_fanout": "#compdef fanout", "completions/fanout.fish": "complete -c fanout",
		"man/man1/fanout.1": ".TH \"FANOUT\"", "man/man1/fanout-version.1": "fanout-version - Show the build:",
	} {
		body, err := os.ReadFile(filepath.Join(root, path))
		if err != nil || !bytes.Contains(body, []byte(want)) {
			t.Errorf("%s: %v; want %q in it", path, err, want)
		}
	}
	for _, c := range rootCommand(nil, io.Discard, io.Discard).Commands() {
		if _, err := os.Stat(filepath.Join(root, "man", "man1", "fanout-"+c.Name()+".1")); err != nil && c.Name() != "help" {
			t.Error(err)
		}
	}
	for program, c := range map[string]struct{ module, needs string }{
		"fanout":   {"fanout/bench", "github.com/spf13/cobra"},
		"fetch":    {"fanout/functions", "github.com/aws/aws-sdk-go-v2/service/s3"},
		"baseline": {"fanout/bench", "github.com/aws/aws-lambda-go"},
	} {
		var bom struct {
			BOMFormat string
			Metadata  struct {
				Component struct{ Name, Version string }
			}

			Components []struct{ Name, Version string }
		}
		body, err := os.ReadFile(filepath.Join(root, "sbom", program+".cdx.json"))
		if err == nil {
			err = json.Unmarshal(body, &bom)
		}
		of := bom.Metadata.Component
		if err != nil || bom.BOMFormat != "CycloneDX" || of.Name != c.module || !strings.Contains(root, "fanout-"+of.Version+"-linux-") {
			t.Errorf("sbom/%s: %v, %q of %+v", program, err, bom.BOMFormat, of)
		}
		for _, name := range []string{"std", c.needs} {
			if !slices.ContainsFunc(bom.Components, func(c struct{ Name, Version string }) bool { return c.Name == name && c.Version != "" }) {
				t.Errorf("sbom/%s: %s is not in it", program, name)
			}
		}
	}
}

// TestArchiveCompletion: bash completes commands, flags and values with the
// archive's script. Where it finds none, and the command does not say otherwise
// (see TestCompletionOfFiles), bash goes on to files by itself.
func TestArchiveCompletion(t *testing.T) {
	root := unpack(t, runtime.GOARCH)
	for _, c := range []struct{ typed, want string }{
		{"fanout ver", "version"},
		{"fanout run --netw", "--network"},
		{"fanout run --network s3-e", "s3-express"},
		{"fanout run --client lean,st", `lean\,stock`},
		{"fanout report --format js", "json"},
		{"fanout report res", ""},
	} {
		// Of the package bash-completion the script uses this one function.
		const complete = `_get_comp_words_by_ref() { words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${words[cword]} prev=${words[cword-1]}; }
. "$1/completions/fanout.bash" && complete -p fanout >/dev/null || exit
COMP_LINE=$2 COMP_POINT=${#2} COMP_TYPE=9
read -ra COMP_WORDS <<<"$2"
[[ $2 != *' ' ]] || COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
__start_fanout
printf '%s\n' "${COMPREPLY[@]}"`
		cmd := exec.CommandContext(t.Context(), "bash", "-c", complete, "bash", root, c.typed)
		cmd.Env = []string{"PATH=" + root + ":/usr/bin:/bin"}
		out, err := cmd.Output() // compopt warns on standard error that nobody pressed a key
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.typed, got, err, c.want)
		}
	}
}

// TestArchiveReproducible: the same commit gives the same bytes again, and they
// are what SHA256SUMS says.
func TestArchiveReproducible(t *testing.T) {
	again := filepath.Join(t.TempDir(), "release")
	cmd := exec.CommandContext(t.Context(), "../.ci/release", again)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sums := ""
	for _, goarch := range []string{"amd64", "arm64"} {
		files, err := filepath.Glob(filepath.Join(again, "fanout-*-linux-"+goarch+".tar.gz"))
		if err != nil || len(files) != 1 {
			t.Fatalf("archives for %s: %v, %v", goarch, files, err)
		}
		body, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		sums += fmt.Sprintf("%x  %s\n", sha256.Sum256(body), filepath.Base(files[0]))
	}
	for _, folder := range []string{releaseFolder, again} {
		said, err := os.ReadFile(filepath.Join(folder, "SHA256SUMS"))
		if err != nil || string(said) != sums {
			t.Errorf("%s: SHA256SUMS says\n%swant\n%s%v", folder, said, sums, err)
		}
	}
}

// TestArchiveForeign runs the other archive's command, as far as that says
// something: an emulated processor's functions would not be on time.
func TestArchiveForeign(t *testing.T) {
	goarch, emulator := "arm64", "qemu-aarch64-static"
	if lambda.HostArchitecture() == "arm64" {
		goarch, emulator = "amd64", "qemu-x86_64-static"
	}
	if _, err := exec.LookPath(emulator); err != nil {
		t.Fatalf("%v; on Debian: apt-get install qemu-user-static", err)
	}
	out, err := exec.CommandContext(t.Context(), emulator, filepath.Join(unpack(t, goarch), "fanout"), "version").CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "platform  linux/"+goarch+"\n") {
		t.Errorf("got %s, %v", out, err)
	}
}

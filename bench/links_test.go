package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	markdownLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	markdownHeading = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
	notOurs         = regexp.MustCompile(`^(\..*|build|results|cdk\.out|node_modules|target)$`) // folders that .gitignore names
	notInAnchor     = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinks: every link of the documentation that stays in the repository leads
// to a file that is there, and to a heading of it.
func TestLinks(t *testing.T) {
	links := 0
	err := filepath.WalkDir(repository, func(page string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && page != repository && notOurs.MatchString(d.Name()):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(page) != ".md":
			return nil
		}
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		for _, m := range markdownLink.FindAllSubmatch(text, -1) {
			link := string(m[1])
			if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
				continue
			}
			links++
			path, anchor, hasAnchor := strings.Cut(link, "#")
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s: %v", page, link, err)
			} else if hasAnchor && !anchors(t, target)[anchor] {
				t.Errorf("%s: %s: no such heading", page, link)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if links < 20 {
		t.Errorf("only %d links found", links)
	}
}

// anchors gives what GitHub calls the headings of a page.
func anchors(t *testing.T, page string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, m := range markdownHeading.FindAllSubmatch(text, -1) {
		heading := notInAnchor.ReplaceAllString(strings.ToLower(string(m[1])), "")
		all[strings.ReplaceAll(heading, " ", "-")] = true
	}
	return all
}

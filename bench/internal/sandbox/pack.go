package sandbox

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"fanout/bench/internal/hint"
	"fanout/functions/lambda"
)

// maxUnpacked is how large a package may be, unpacked: 250 MB
// (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const maxUnpacked = 250 << 20

// pack is a function's code, as it was named.
type pack struct {
	codeFacts
	kind packKind
}

type packKind int

const (
	single  packKind = iota // a bootstrap alone
	folder                  // with a bootstrap, or what a managed runtime loads
	archive                 // the same in a zip or jar, to be unpacked
)

// openPack looks at what path names, short of unpacking it. The error has a
// hint.
func openPack(path string, rt lambda.Runtime) (p pack, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return p, fmt.Errorf("package: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return p, hint.Failed("check the path", "package: %w", err)
	}
	p.path = path
	if info.IsDir() {
		p.kind = folder
		return p, p.measureFolder()
	}
	if !info.Mode().IsRegular() {
		return p, hint.Failed("name an executable, a script, a folder, a zip or a jar", "package %s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return p, hint.Failed("check that it can be read", "package: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	head := make([]byte, shebangLimit)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return p, hint.Failed("check that it can be read", "package %s: %w", path, err)
	}
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		p.kind = archive
		return p, p.measureArchive()
	case rt.Managed():
		what, _ := describe(path, head[:n])
		return p, hint.Failed("name the folder that it is in, or a zip or jar of it", "package %s: %s, not a package for %s", path, what, rt.Name)
	}
	return p, nil // inspect will say
}

// measureFolder notes a folder's size, and a digest of its files.
func (p *pack) measureFolder() error {
	hash := sha256.New()
	// The slash leads through a link to the folder itself.
	err := filepath.WalkDir(p.path+"/", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if p.size += info.Size(); p.size > maxUnpacked {
			return filepath.SkipAll // it is told below
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // only read from
		fmt.Fprintf(hash, "%q\n", strings.TrimPrefix(path, p.path))
		_, err = io.Copy(hash, f)
		return err
	})
	p.sha256 = base64.StdEncoding.EncodeToString(hash.Sum(nil))
	switch {
	case err != nil:
		return hint.Failed("check that its files can be read", "package %s: %w", p.path, err)
	case p.size > maxUnpacked:
		return tooBig(p.path)
	}
	return nil
}

func tooBig(path string) error {
	return hint.Failed("leave out what the function does not need, such as development dependencies",
		"package %s: more than the %d MB that Lambda takes", path, maxUnpacked>>20)
}

// measureArchive notes an archive's size and digest, and looks at what is in it.
func (p *pack) measureArchive() (err error) {
	f, err := os.Open(p.path)
	if err != nil {
		return hint.Failed("check that it can be read", "package: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read from
	hash := sha256.New()
	if p.size, err = io.Copy(hash, f); err != nil {
		return hint.Failed("check that it can be read", "package %s: %w", p.path, err)
	}
	p.sha256 = base64.StdEncoding.EncodeToString(hash.Sum(nil))
	r, err := zip.NewReader(f, p.size)
	if err != nil {
		return hint.Failed("make it again", "package %s: a damaged zip: %w", p.path, err)
	}
	var sum uint64
	for _, file := range r.File {
		if sum += file.UncompressedSize64; sum > maxUnpacked || file.UncompressedSize64 > maxUnpacked {
			return tooBig(p.path)
		}
		if !filepath.IsLocal(file.Name) || strings.ContainsRune(file.Name, '\\') {
			return hint.Failed("make it of relative paths, with /", "package %s: a file called %q", p.path, file.Name)
		}
	}
	return nil
}

// open gives the folder that the code is in, which is dir where it has to be
// unpacked first.
func (p pack) open(dir string) (root string, err error) {
	switch p.kind {
	case single:
		return filepath.Dir(p.path), nil
	case folder:
		return p.path, nil
	}
	r, err := zip.OpenReader(p.path)
	if err != nil {
		return "", hint.Failed("make it again", "package %s: %w", p.path, err)
	}
	defer r.Close() //nolint:errcheck // only read from
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	to, err := os.OpenRoot(dir) // a link in the archive leads nothing out of it
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	var left int64 = maxUnpacked // what the archive says of its files' sizes may be wrong
	for _, file := range r.File {
		if err := unpackFile(to, file, &left); err != nil {
			return "", hint.Failed("check TMPDIR's free space, or make the package again", "package %s: %s: %w", p.path, file.Name, err)
		}
	}
	return dir, nil
}

// unpackFile writes one file of an archive, to be read and run only, as it is
// on Lambda.
func unpackFile(to *os.Root, file *zip.File, left *int64) (err error) {
	name := filepath.Clean(file.Name)
	if strings.HasSuffix(file.Name, "/") {
		return to.MkdirAll(name, 0o755)
	}
	if err := to.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := to.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // of two with one name the last counts
		return err
	}
	in, err := file.Open()
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // only read from
	if file.Mode()&fs.ModeSymlink != 0 {
		target, err := io.ReadAll(io.LimitReader(in, 4096))
		if err != nil {
			return err
		}
		return to.Symlink(string(target), name)
	}
	out, err := to.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(in, *left+1))
	if *left -= n; *left < 0 {
		err = errors.Join(err, errors.New("larger than the archive says"))
	}
	return errors.Join(err, out.Chmod(0o444|file.Mode()&0o111), out.Close())
}

// bootstrapIn gives the path of the bootstrap in a package.
func (p pack) bootstrapIn(root string) (string, error) {
	if p.kind == single {
		return p.path, nil
	}
	path := filepath.Join(root, "bootstrap")
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", hint.Failed("for a managed runtime add ,runtime=R,handler=H: such as ,runtime=python3.13,handler=module.function",
			"package %s: no bootstrap in it", p.path)
	case err == nil && info.Mode().IsRegular() && info.Mode()&0o111 == 0 && p.kind == archive:
		return "", hint.Failed("chmod +x bootstrap, and make the zip again", "package %s: its bootstrap is not executable", p.path)
	}
	return path, nil
}

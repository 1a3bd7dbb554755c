package stack

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"fanout/functions/lambda"
)

// Contender is one implementation of the function.
type Contender struct {
	Name    string         // GoContender, or another's
	Runtime lambda.Runtime // what Lambda starts it with
	Handler string         // what a managed runtime calls

	// Zips are paths of packages, by architecture; on one that is not among
	// them the contender is not deployed. GoContender has none: its packages
	// are in the build folder.
	Zips map[string]string
}

// on says whether there is something to deploy on an architecture.
func (c Contender) on(arch string) bool { return c.Name == GoContender || c.Zips[arch] != "" }

// Keys of contenders, before their names. A package is in contenderZip.NAME.ARCH;
// in contenderZip.NAME or contenderZip.NAME.any where it is for whichever
// architecture there is.
const (
	zipKey     = "contenderZip."
	runtimeKey = "contenderRuntime."
	handlerKey = "contenderHandler."
	anyArch    = "any"
)

// contenderRE is what stays readable, and can be read back, as the end of an
// output's name. ownNames end IDs of the stack's own: Fetch128ArmLogs.
var (
	contenderRE = regexp.MustCompile(`^[a-z][a-z0-9]{0,15}$`)
	ownNames    = []string{"arn", "logs", "output", "role"}
)

// contenders reads who is compared, and where their packages are.
func (r *reader) contenders(archs []string) []Contender {
	const hint = "names of up to 16 small letters and digits, each once; " + GoContender + " is this repository's own"
	names := []string{GoContender}
	if v, ok := r.get("contenders"); ok {
		var isList bool
		if names, isList = split(v); !isList || len(names) == 0 {
			r.fail("contenders", "not a list of names", hint)
			return nil
		}
	}
	var all []Contender
	for i, name := range names {
		switch {
		case !contenderRE.MatchString(name):
			r.fail("contenders", fmt.Sprintf("%q is no such name", name), hint)
		case slices.Contains(ownNames, name):
			r.fail("contenders", fmt.Sprintf("%q is what the stack calls a part of each function", name), hint+"; not "+strings.Join(ownNames, ", "))
		case slices.Contains(names[:i], name):
			r.fail("contenders", fmt.Sprintf("%q is listed twice", name), hint)
		}
		all = append(all, r.contender(name, archs))
	}
	for _, key := range slices.Sorted(maps.Keys(r.context)) {
		for _, prefix := range []string{zipKey, runtimeKey, handlerKey} {
			if strings.HasPrefix(key, prefix) && !slices.Contains(r.known, key) {
				allowed := prefix + "NAME of those"
				if prefix == zipKey {
					allowed = zipKey + "NAME or " + zipKey + "NAME.ARCHITECTURE, of those"
				}
				r.fail(key, "means nothing with these contenders and architectures", allowed+"; "+GoContender+" has none")
			}
		}
	}
	return all
}

// contender reads one contender's runtime, handler and packages.
func (r *reader) contender(name string, archs []string) Contender {
	c := Contender{Name: name, Runtime: lambda.Runtime{Name: lambda.ProvidedAL2023}}
	if name == GoContender {
		return c
	}
	if v, ok := r.get(runtimeKey + name); ok {
		text, _ := v.(string)
		rt, err := lambda.ParseRuntime(text)
		if err != nil {
			names := make([]string, 0, len(lambda.Runtimes))
			for _, known := range lambda.Runtimes {
				names = append(names, known.Name)
			}
			r.fail(runtimeKey+name, "not known", strings.Join(names, ", "))
			return c
		}
		c.Runtime = rt
	}
	v, given := r.get(handlerKey + name)
	c.Handler, _ = v.(string)
	switch err := c.Runtime.CheckHandler(c.Handler); {
	case given && c.Handler == "":
		r.fail(handlerKey+name, "not a name", "what the runtime calls, such as module.function")
	case err != nil:
		r.fail(handlerKey+name, err.Error(), "what the runtime calls: module.function, index.handler, pkg.Class::method")
	case given && !c.Runtime.Managed():
		r.fail(handlerKey+name, "means nothing without a managed runtime", "together with "+runtimeKey+name+", such as python3.13")
	}
	c.Zips = r.zips(c, archs)
	return c
}

// zips reads where one contender's packages are. A package of a managed runtime
// is for every architecture unless it is said for which: its native parts, if it
// has any, are looked at later.
func (r *reader) zips(c Contender, archs []string) map[string]string {
	zips := map[string]string{}
	key, ends, holds := zipKey+c.Name, []string{".zip"}, "a bootstrap"
	if c.Runtime.Managed() {
		holds = "the code"
	}
	if c.Runtime.Language == lambda.Java {
		ends = append(ends, ".jar")
	}
	read := func(key string, archs ...string) {
		v, ok := r.get(key)
		if !ok || len(archs) == 0 {
			return
		}
		text, _ := v.(string)
		if !slices.Contains(ends, path.Ext(text)) {
			r.fail(key, "not a zip", fmt.Sprintf("the path of a zip that contains %s for %s", holds, strings.Join(archs, " and ")))
		}
		for _, arch := range archs {
			zips[arch] = text
		}
	}
	without := func() (left []string) {
		return slices.DeleteFunc(slices.Clone(archs), func(arch string) bool { return zips[arch] != "" })
	}
	for _, arch := range archs {
		read(key+"."+arch, arch)
	}
	if left := without(); len(left) > 0 {
		read(key+"."+anyArch, left...)
	}
	if left := without(); len(left) == len(archs) && (len(archs) == 1 || c.Runtime.Managed()) {
		read(key, left...)
	}
	if len(zips) > 0 {
		return zips
	}
	allowed := key + "." + strings.Join(archs, "=PATH or "+key+".") + "=PATH, a zip that contains " + holds + " for that architecture"
	if len(archs) == 1 || c.Runtime.Managed() {
		allowed = key + "=PATH, a zip that contains " + holds + " for " + strings.Join(archs, " and ")
	} else if _, ok := r.get(key); ok {
		r.fail(key, "for which of "+strings.Join(archs, " and ")+"?", allowed+", or "+key+"."+anyArch+"=PATH for all")
	}
	r.fail("contenders", fmt.Sprintf("no package named for %q", c.Name), allowed)
	return nil
}

// maxPackageBytes is how much a function's code may be once it is unpacked, its
// layers included: 250 MB of 2^20 bytes
// (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const maxPackageBytes = 250 << 20

// checkZip finds out what Lambda would say at the deployment, minutes later, or
// only at the first invocation: that a package is too large, has no bootstrap or
// nothing with the handler's name, or what cannot be executed there.
func (c Contender) checkZip(name, arch string) error {
	archive, err := zip.OpenReader(name)
	if err != nil {
		return err
	}
	defer archive.Close() //nolint:errcheck // only read from
	files := map[string]*zip.File{}
	var total uint64
	for _, f := range archive.File {
		// subtle: a size is what the archive claims; a sum past the limit ends
		// this before it can run over.
		if total += f.UncompressedSize64; f.UncompressedSize64 > maxPackageBytes || total > maxPackageBytes {
			return fmt.Errorf("more than %d MB unpacked, which Lambda refuses", maxPackageBytes>>20)
		}
		if !f.FileInfo().IsDir() {
			files[path.Clean(f.Name)] = f // ./bootstrap is it, too
		}
	}
	if c.Runtime.Managed() {
		return errors.Join(c.checkHandler(files), checkNative(files, arch))
	}
	bootstrap := files["bootstrap"]
	switch {
	case bootstrap == nil:
		return errors.New("no bootstrap in it; a package for a managed runtime needs " + runtimeKey + c.Name)
	case !bootstrap.Mode().IsRegular():
		return errors.New("its bootstrap is not a regular file")
	case bootstrap.Mode()&0o005 != 0o005: // the function's user owns nothing there
		return fmt.Errorf("its bootstrap cannot be executed by everyone (%v): chmod 755 it before it is packed", bootstrap.Mode())
	}
	program, err := readZipped(bootstrap, maxPackageBytes)
	if err != nil {
		return err
	}
	return checkBootstrap(program, arch)
}

// readZipped gives the first bytes of a file, at most that many.
func readZipped(f *zip.File, most int64) ([]byte, error) {
	from, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer from.Close() //nolint:errcheck // only read from
	return io.ReadAll(io.LimitReader(from, most))
}

// checkHandler looks for the file that the runtime would load for the handler.
func (c Contender) checkHandler(files map[string]*zip.File) error {
	var candidates []string
	switch c.Runtime.Language {
	case lambda.Python: // a/b.function and a.b.function
		module := strings.ReplaceAll(c.Handler[:strings.LastIndex(c.Handler, ".")], ".", "/")
		candidates = []string{module + ".py", module + "/__init__.py", module + ".pyc"}
	case lambda.NodeJS: // a/b.function and a/b.object.function
		folder, file := path.Split(c.Handler)
		file, _, _ = strings.Cut(file, ".")
		candidates = []string{path.Join(folder, file) + ".js", path.Join(folder, file) + ".mjs", path.Join(folder, file) + ".cjs"}
	case lambda.Java:
		class, _, _ := strings.Cut(c.Handler, "::")
		candidates = []string{strings.ReplaceAll(class, ".", "/") + ".class"}
		for name := range files {
			if strings.HasPrefix(name, "lib/") && path.Ext(name) == ".jar" {
				return nil // the class may be in one of these
			}
		}
	}
	for _, name := range candidates {
		if f := files[name]; f != nil {
			if f.Mode()&0o004 == 0 {
				return fmt.Errorf("its %s cannot be read by everyone (%v): chmod 644 it before it is packed", name, f.Mode())
			}
			return nil
		}
	}
	return fmt.Errorf("handler %s: no %s in it", c.Handler, strings.Join(candidates, ", "))
}

// nativeRE are the names of native modules of Python and Node.js, and of what
// those load.
var nativeRE = regexp.MustCompile(`\.(so|node)(\.[0-9.]+)?$`)

// checkNative refuses a package whose native code is for another architecture
// only. One with code for several is good for each.
func checkNative(files map[string]*zip.File, arch string) error {
	machine, err := lambda.MachineOf(arch)
	if err != nil {
		return err
	}
	const headBytes = 20 // to the end of e_machine
	var other string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !nativeRE.MatchString(name) {
			continue
		}
		head, err := readZipped(files[name], headBytes)
		if err != nil {
			return err
		}
		if len(head) < headBytes || !bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
			continue
		}
		if found := elf.Machine(binary.LittleEndian.Uint16(head[18:])); found == machine.ELF {
			return nil
		} else if other == "" {
			other = fmt.Sprintf("its native code is for %v, such as %s", found, name)
		}
	}
	if other != "" {
		return errors.New(other)
	}
	return nil
}

// checkBootstrap says why Lambda could not start a program, if that is so: a
// 64-bit Linux executable for the architecture, or a script with its
// interpreter.
func checkBootstrap(program []byte, arch string) error {
	machine, err := lambda.MachineOf(arch)
	if err != nil {
		return err
	}
	if line, ok := bytes.CutPrefix(program, []byte("#!")); ok {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		switch words := bytes.Fields(line); {
		case bytes.HasSuffix(line, []byte("\r")):
			return errors.New("its bootstrap is a script with Windows line ends, which no interpreter takes")
		case len(words) == 0 || !bytes.HasPrefix(words[0], []byte("/")):
			return errors.New("its bootstrap is a script whose first line names no interpreter, as in #!/bin/sh")
		}
		return nil
	}
	binary, err := elf.NewFile(bytes.NewReader(program))
	switch {
	case len(program) == 0:
		return errors.New("its bootstrap is empty")
	case err != nil:
		return errors.New("its bootstrap is neither a Linux executable nor a script with #! at its beginning")
	case binary.Machine != machine.ELF:
		return fmt.Errorf("its bootstrap is for %s", binary.Machine)
	case binary.Class != elf.ELFCLASS64 || binary.Type != elf.ET_EXEC && binary.Type != elf.ET_DYN:
		return fmt.Errorf("its bootstrap is %s, %s: not an executable for Lambda", binary.Class, binary.Type)
	case binary.OSABI != elf.ELFOSABI_NONE && binary.OSABI != elf.ELFOSABI_LINUX:
		return fmt.Errorf("its bootstrap is for %s, not for Linux", binary.OSABI)
	}
	if loader := dynamicLoader(binary); loader != "" && loader != machine.Loader && !strings.HasPrefix(loader, "/var/task/") {
		return fmt.Errorf("its bootstrap needs the dynamic loader %s, which Lambda does not have: link it statically, or with glibc", loader)
	}
	return nil
}

// dynamicLoader is the program that the kernel starts an executable with; empty
// where it is linked statically.
func dynamicLoader(binary *elf.File) string {
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP {
			if name, err := io.ReadAll(io.LimitReader(p.Open(), 4096)); err == nil {
				return string(bytes.TrimRight(name, "\x00"))
			}
		}
	}
	return ""
}

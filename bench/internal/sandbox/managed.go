package sandbox

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"fanout/bench/internal/hint"
	"fanout/functions/lambda"
)

// The loops between the Runtime API and a handler, for machines and packages
// that do not have a runtime's own interface client.
var (
	//go:embed loops/loop.py
	pythonLoop []byte
	//go:embed loops/loop.mjs
	nodeLoop []byte
	//go:embed loops/Loop.java
	javaLoop []byte
)

// ownLoop is what a function runs by that has no interface client.
const ownLoop = "the sandbox's own loop"

// program is how a function's processes are started.
type program struct {
	root    string // the working folder, and LAMBDA_TASK_ROOT
	command func(c *settings, home string) []string
	env     map[string]string // what a managed runtime adds to the environment
	runtime string            // its name, as the Lambda API has it
	ranBy   string            // of a managed runtime, what there is of it here: "Python 3.11.7, awslambdaric 4.2.2"
}

// interpreter is what runs a managed runtime's functions on this machine.
type interpreter struct {
	path    string
	version string // 3.11.7
}

// tool is how the interpreters of a language are found.
type tool struct {
	names   func(version string) []string // on PATH, the likeliest first
	home    string                        // a variable with the folder of one, in bin: it comes before PATH
	paths   func() []string               // elsewhere
	args    []string                      // have it print its path and version
	parse   func(output string) (path, version string)
	version func(text string) int // the part that sets runtimes apart; negative: none of the language
	install string
}

// tools are the languages'.
var tools = map[lambda.Language]tool{
	lambda.Python: {
		names: func(version string) []string {
			names := []string{"python" + version, "python3", "python"}
			for minor := 15; minor >= 9; minor-- {
				names = append(names, "python3."+strconv.Itoa(minor))
			}
			return names
		},
		args:    []string{"-I", "-c", `import sys; print(sys.executable); print(".".join(map(str, sys.version_info[:3])))`},
		parse:   twoLines,
		version: func(text string) int { return part(strings.CutPrefix(text, "3.")) },
		install: "apt-get install python3 (or uv python install 3.13, and put it on PATH)",
	},
	lambda.NodeJS: {
		names:   func(version string) []string { return []string{"node", "nodejs", "node" + version} },
		args:    []string{"-p", `process.execPath + "\n" + process.versions.node`},
		parse:   twoLines,
		version: func(text string) int { return part(text, true) },
		install: "apt-get install nodejs (or another way to put node on PATH)",
	},
	lambda.Java: {
		names: func(string) []string { return []string{"java"} },
		home:  "JAVA_HOME",
		paths: func() []string {
			found, _ := filepath.Glob("/usr/lib/jvm/*/bin/java")
			return found
		},
		args: []string{"-XshowSettings:properties", "-version"},
		parse: func(output string) (path, version string) {
			if m := regexp.MustCompile(`(?m)^ *java\.home = (.*)$`).FindStringSubmatch(output); m != nil {
				path = filepath.Join(m[1], "bin", "java")
			}
			if m := regexp.MustCompile(`(?m)^ *java\.version = (.*)$`).FindStringSubmatch(output); m != nil {
				version = m[1]
			}
			return path, version
		},
		version: func(text string) int { return part(text, true) },
		install: "apt-get install default-jdk-headless (or set JAVA_HOME)",
	},
}

func twoLines(output string) (path, version string) {
	path, rest, _ := strings.Cut(output, "\n")
	version, _, _ = strings.Cut(rest, "\n")
	return strings.TrimSpace(path), strings.TrimSpace(version)
}

// part gives the number that a version begins with.
func part(text string, ok bool) int {
	digits, _, _ := strings.Cut(text, ".")
	digits, _, _ = strings.Cut(digits, "-")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil {
		return -1
	}
	return n
}

// findInterpreter finds this machine's interpreter for a managed runtime: that
// of its version or else the nearest, and of two that are as near the newer. It
// runs what it finds, to be told its version. The error has an install line.
func findInterpreter(rt lambda.Runtime) (interpreter, error) {
	t := tools[rt.Language]
	want := t.version(rt.Version)
	best, bestOff := interpreter{}, math.MaxInt
	for _, path := range candidates(t, rt.Version) {
		output, err := outputOf(path, t.args...)
		if err != nil {
			continue // such as a version manager's, of a version that is not there
		}
		found, version := t.parse(output)
		have := t.version(version)
		off := 2 * max(have-want, want-have)
		if have < want {
			off++
		}
		if have >= 0 && filepath.IsAbs(found) && off < bestOff {
			best, bestOff = interpreter{path: found, version: version}, off
		}
		if bestOff == 0 {
			break
		}
	}
	if best.path == "" {
		return best, hint.Failed(t.install, "runtime %s: there is no %s on this machine", rt.Name, rt.Language)
	}
	return best, nil
}

// candidates are the executables to try, the likeliest first.
func candidates(t tool, version string) []string {
	var all []string
	add := func(path string) {
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && !slices.Contains(all, path) {
			all = append(all, path)
		}
	}
	if home := os.Getenv(t.home); home != "" {
		add(filepath.Join(home, "bin", t.names(version)[0]))
	}
	for _, name := range t.names(version) {
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			if filepath.IsAbs(dir) {
				add(filepath.Join(dir, name))
			}
		}
	}
	if t.paths != nil {
		for _, path := range t.paths() {
			add(path)
		}
	}
	return all
}

// probeLimit is how long a program may take to say what it is.
const probeLimit = 20 * time.Second

// outputOf runs a program, and gives all that it prints: first its standard output.
func outputOf(path string, args ...string) (string, error) {
	return outputIn("", path, args...)
}

func outputIn(dir, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), probeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	// A version manager needs the caller's environment, but what it tells an
	// interpreter, and what is installed in the caller's home, is nothing that a
	// function's processes will have.
	ofInterpreter := func(v string) bool {
		return slices.ContainsFunc(interpreterEnv, func(begins string) bool { return strings.HasPrefix(v, begins) })
	}
	cmd.Env = append(slices.DeleteFunc(os.Environ(), ofInterpreter), "PYTHONDONTWRITEBYTECODE=1", "PYTHONNOUSERSITE=1")
	var printed, warned strings.Builder // apart: a shim may warn of a locale, a debugger may say hello
	cmd.Stdout, cmd.Stderr = &printed, &warned
	err := cmd.Run()
	return printed.String() + warned.String(), err
}

// interpreterEnv begins the variables that change what an interpreter loads or
// prints.
var interpreterEnv = []string{
	"PYTHON", "NODE_OPTIONS=", "NODE_PATH=", "FORCE_COLOR=", "JAVA_TOOL_OPTIONS=", "JDK_JAVA_OPTIONS=", "_JAVA_OPTIONS=",
}

// managedProgram says how to run a package's handler: by the runtime's own
// interface client where there is one, else by a loop of the sandbox's own, which
// is put into dir.
func (s *Sandbox) managedProgram(rt lambda.Runtime, root string, at interpreter) (program, error) {
	dir := filepath.Join(s.dir, "runtime", rt.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return program{}, err
	}
	p := program{
		root: root, runtime: rt.Name,
		env: map[string]string{
			"AWS_EXECUTION_ENV":  "AWS_Lambda_" + rt.Name,
			"LAMBDA_RUNTIME_DIR": dir,
			"PATH":               filepath.Dir(at.path) + ":" + defaultPath,
			"LD_LIBRARY_PATH":    root + ":" + filepath.Join(root, "lib"),
		},
	}
	var client string
	var err error
	switch rt.Language {
	case lambda.Python:
		client, err = p.python(at, dir)
	case lambda.NodeJS:
		client, err = p.node(at, dir, rt)
	case lambda.Java:
		client, err = p.java(at, dir, s.cfg.JavaOptions)
	}
	p.ranBy = fmt.Sprintf("%s %s, %s", rt.Language, at.version, client)
	return p, err
}

// python runs a handler, by awslambdaric if the interpreter can import it.
func (p *program) python(at interpreter, dir string) (client string, err error) {
	p.env["PYTHONPATH"] = dir
	p.env["PYTHONDONTWRITEBYTECODE"] = "1" // the package's folder is read-only on Lambda
	const ask = `import sys; sys.path.insert(0, sys.argv[1]); import awslambdaric.bootstrap, runtime_client; print(awslambdaric.__version__)`
	if output, err := outputIn(p.root, at.path, "-c", ask, p.root); err == nil {
		p.command = func(c *settings, _ string) []string { return []string{at.path, "-m", "awslambdaric", c.Handler} }
		version, _, _ := strings.Cut(output, "\n")
		return "awslambdaric " + version, nil
	}
	// As Lambda calls it, which the traceback of an error may show.
	loop := filepath.Join(dir, "bootstrap.py")
	p.command = func(*settings, string) []string { return []string{at.path, "-u", loop} }
	return ownLoop, os.WriteFile(loop, pythonLoop, 0o644)
}

// node runs a handler, by aws-lambda-ric if the package has it, built.
func (p *program) node(at interpreter, dir string, rt lambda.Runtime) (client string, err error) {
	p.env["NODE_PATH"] = filepath.Join(dir, "node_modules") + ":" + dir + ":" + p.root
	entry, version := nodeClient(p.root)
	if entry == "" {
		entry = filepath.Join(dir, "index.mjs")
		err = os.WriteFile(entry, nodeLoop, 0o644)
		client = ownLoop
	} else {
		client = "aws-lambda-ric " + version
	}
	fixed := nodeFlags(at, rt)
	p.command = func(c *settings, _ string) []string {
		// A tenth is for the young generation, of two semi-spaces; see
		// /var/runtime/bootstrap of Lambda's images.
		args := []string{at.path, "--expose-gc", "--max-http-header-size=81920"}
		if !strings.Contains(c.Env["NODE_OPTIONS"], "-space-size") {
			args = append(args, "--max-semi-space-size="+strconv.Itoa(max(c.MemoryMB/20, 1)),
				"--max-old-space-size="+strconv.Itoa(c.MemoryMB-c.MemoryMB/10))
		}
		return append(append(args, fixed...), entry, c.Handler)
	}
	return client, err
}

// nodeFlags are the experiments that Lambda switches off, as far as this
// Node.js has them (docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html).
func nodeFlags(at interpreter, rt lambda.Runtime) []string {
	var off []string
	for _, flag := range []struct {
		name     string
		runtimes []string
	}{{"experimental-require-module", []string{"20", "22"}}, {"experimental-detect-module", []string{"22"}}} {
		if !slices.Contains(flag.runtimes, rt.Version) {
			continue
		}
		ask := fmt.Sprintf("process.allowedNodeEnvironmentFlags.has('--%s')", flag.name)
		if output, err := outputOf(at.path, "-p", ask); err == nil && strings.HasPrefix(output, "true\n") {
			off = append(off, "--no-"+flag.name)
		}
	}
	return off
}

// nodeClient finds the interface client in a package; empty: it is not there,
// or its native part was not built.
func nodeClient(root string) (entry, version string) {
	dir := filepath.Join(root, "node_modules", "aws-lambda-ric")
	text, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		return "", ""
	}
	var about struct {
		Version string
		Bin     map[string]string
	}
	if json.Unmarshal(text, &about) != nil || about.Bin["aws-lambda-ric"] == "" {
		return "", ""
	}
	for _, pattern := range []string{"build/Release/*.node", "src/native/build/Release/*.node"} {
		if built, _ := filepath.Glob(filepath.Join(dir, pattern)); len(built) > 0 {
			return filepath.Join(dir, about.Bin["aws-lambda-ric"]), about.Version
		}
	}
	return "", ""
}

// java runs a handler, by aws-lambda-java-runtime-interface-client if it is in
// the package or in Maven's cache; else by a loop that is compiled first.
func (p *program) java(at interpreter, dir string, options []string) (client string, err error) {
	classpath, main := []string{p.root}, "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"
	libraries, _ := filepath.Glob(filepath.Join(p.root, "lib", "*.jar")) // sorted, as Lambda takes them
	classpath = append(classpath, libraries...)
	if jars, version := javaClient(p.root, libraries); version != "" {
		classpath, client = append(jars, classpath...), "aws-lambda-java-runtime-interface-client "+version
	} else {
		main, client = "Loop", ownLoop
		classpath = append([]string{dir}, classpath...)
		if err := compile(at, dir); err != nil {
			return "", err
		}
	}
	p.command = func(c *settings, home string) []string {
		args := append([]string{at.path}, javaFlags(c)...)
		args = append(args, "-Xshare:auto", "-Djava.net.preferIPv4Stack=true", "-Djava.io.tmpdir="+home,
			// A function sees two processors at least, as Lambda shows them.
			fmt.Sprintf("-XX:ActiveProcessorCount=%d", max(2, int(math.Ceil(lambda.VCPU(c.MemoryMB))))))
		if part(at.version, true) >= 22 { // the client's native part, of which Java warns since
			args = append(args, "--enable-native-access=ALL-UNNAMED")
		}
		args = append(args, options...)
		return append(args, "-cp", strings.Join(classpath, ":"), main, c.Handler)
	}
	return client, nil
}

// javaFlags are Lambda's own, but for those that the function's JAVA_TOOL_OPTIONS
// replace, which java would read before these
// (docs.aws.amazon.com/lambda/latest/dg/java-customization.html).
func javaFlags(c *settings) []string {
	var flags []string
	for _, f := range []struct {
		replaced *regexp.Regexp
		flags    []string
	}{
		{regexp.MustCompile(`-Xmx|MaxHeapSize|MaxRAM`), []string{fmt.Sprintf("-XX:MaxHeapSize=%dk", c.MemoryMB*1024*85/100)}},
		{regexp.MustCompile(`XX:\+Use\w+GC`), []string{"-XX:+UseSerialGC"}},
		{regexp.MustCompile(`TieredCompilation|TieredStopAtLevel`), []string{"-XX:+TieredCompilation", "-XX:TieredStopAtLevel=1"}},
	} {
		if !f.replaced.MatchString(c.Env["JAVA_TOOL_OPTIONS"]) {
			flags = append(flags, f.flags...)
		}
	}
	return flags
}

// javaJars are what the interface client consists of.
var javaJars = []string{"aws-lambda-java-runtime-interface-client", "aws-lambda-java-core", "aws-lambda-java-serialization"}

// javaClient finds the interface client: nothing is to be added for the one in a
// package. An empty version means that there is none.
func javaClient(root string, libraries []string) (jars []string, version string) {
	inJar := regexp.MustCompile(`/` + javaJars[0] + `-([0-9][^/]*?)(-linux[^/]*)?\.jar$`)
	for _, library := range libraries {
		if m := inJar.FindStringSubmatch(library); m != nil {
			return nil, m[1]
		}
	}
	if _, err := os.Stat(filepath.Join(root, "com/amazonaws/services/lambda/runtime/api/client/AWSLambda.class")); err == nil {
		return nil, "of the package"
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, ""
	}
	for i, name := range javaJars {
		dirs, _ := filepath.Glob(filepath.Join(home, ".m2/repository/com/amazonaws", name, "*", name+"-*.jar"))
		newest, newestVersion := "", ""
		for _, jar := range dirs {
			v := filepath.Base(filepath.Dir(jar))
			if filepath.Base(jar) == name+"-"+v+".jar" && (newest == "" || older(newestVersion, v)) {
				newest, newestVersion = jar, v
			}
		}
		if newest == "" {
			return nil, ""
		}
		if i == 0 {
			version = newestVersion
		}
		jars = append(jars, newest)
	}
	return jars, version
}

// older compares versions of numbers and dots.
func older(a, b string) bool {
	numbers := func(text string) (all []int) {
		for field := range strings.SplitSeq(text, ".") {
			all = append(all, part(field, true))
		}
		return all
	}
	return slices.Compare(numbers(a), numbers(b)) < 0
}

// compile compiles the loop for Java, once for all processes: from source, each
// would have the compiler in its INIT.
func compile(at interpreter, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "Loop.class")); err == nil {
		return nil // for another function
	}
	source := filepath.Join(dir, "Loop.java")
	if err := os.WriteFile(source, javaLoop, 0o644); err != nil {
		return err
	}
	output, err := outputOf(at.path, "-m", "jdk.compiler/com.sun.tools.javac.Main", "-d", dir, source)
	if err != nil {
		return hint.Failed("apt-get install default-jdk-headless, or put aws-lambda-java-runtime-interface-client into the package",
			"compile the loop that calls a handler with %s: %w: %s", at.path, err, strings.TrimSpace(output))
	}
	return nil
}

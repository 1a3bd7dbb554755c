//go:build runtimes

package sandbox

import (
	"encoding/base64"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"fanout/functions/lambda"
)

// handlerTest is what a package's handler answers to an event, or how it fails.
type handlerTest struct {
	name, handler string
	files         map[string]string
	event         string
	context       string   // the client's, in Base64
	answer        string   // a pattern of the payload
	failed        bool     // the answer is an error object
	log           []string // patterns of the log
}

// run starts a function of these files, and invokes it twice: the second
// time in a warm process, if it lived.
func (tt handlerTest) run(t *testing.T, rt string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range tt.files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if rt[:4] == "java" {
		javac(t, dir)
	}
	f := startTestInit(t, time.Minute, func(c *Config) {
		fn := &c.Functions[0]
		fn.Code, fn.Arch, fn.Runtime, fn.Handler = dir, lambda.HostArchitecture(), rt, tt.handler
		fn.MemoryMB, fn.Timeout = 256, time.Minute
	})
	in := &awslambda.InvokeInput{FunctionName: aws.String("probe"), Payload: []byte(tt.event), LogType: types.LogTypeTail}
	if tt.event == "" {
		in.Payload = []byte("{}")
	}
	if tt.context != "" {
		in.ClientContext = &tt.context
	}
	for range 2 {
		out, err := f.Invoke(t.Context(), in)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
		if err != nil {
			t.Fatal(err)
		}
		log := string(tail)
		if (out.FunctionError != nil) != tt.failed || !regexp.MustCompile(tt.answer).Match(out.Payload) {
			t.Errorf("%s: %s\nwant %s\nlog: %s", tt.name, out.Payload, tt.answer, log)
		}
		for _, want := range tt.log {
			if !regexp.MustCompile(want).MatchString(log) {
				t.Errorf("%s: the log has no %q:\n%s", tt.name, want, log)
			}
		}
	}
}

// python is one file.
func python(text string) map[string]string { return map[string]string{"app.py": text} }

// node is one file, CommonJS.
func node(text string) map[string]string { return map[string]string{"index.js": text} }

// need fails a test whose tool is missing.
func need(t *testing.T, program, install string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%v; on Debian: apt-get install %s", err, install)
	}
}

func javac(t *testing.T, dir string) {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join(dir, "*.java"))
	if err != nil || len(sources) == 0 {
		return
	}
	cmd := exec.CommandContext(t.Context(), "javac", append([]string{"--release", "17", "-d", dir}, sources...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// oom takes memory until there is none.
const (
	pythonOOM = "def handler(event, context):\n    held = []\n    while True:\n        held.append(bytearray(b'x' * (8 << 20)))\n"
	nodeOOM   = "exports.handler = async () => { const held = []; for (;;) held.push(Buffer.alloc(8 << 20, 1)); };"
)

func TestPython(t *testing.T) {
	need(t, "python3", "python3")
	const hello = "def handler(event, context):\n    return "
	for _, tt := range []handlerTest{
		{name: "an answer", handler: "app.handler", files: python(hello + "{'got': event, 'é': 1.5}"), event: `{"a":[1,null,"ü"]}`,
			answer: `^{"got": {"a": \[1, null, "ü"\]}, "é": 1.5}$`},
		{name: "bytes", handler: "app.handler", files: python(hello + "b'raw'"), answer: `^raw$`},
		{name: "None", handler: "app.handler", files: python(hello + "None"), answer: `^null$`},
		{name: "a module in a folder", handler: "a/b/app.handler",
			files: map[string]string{"a/b/app.py": hello + "__name__"}, answer: `^"a.b.app"$`},
		{name: "a module beside it", handler: "app.handler", answer: `^7$`,
			files: map[string]string{"app.py": "from other import x\n" + hello + "x", "other.py": "x = 7\n"}},
		{name: "the context", handler: "app.handler", context: "eyJjdXN0b20iOnsiayI6InYifX0=", files: python(hello +
			"[context.function_name, context.memory_limit_in_mb, context.function_version, context.client_context.custom['k'],\n" +
			"        0 < context.get_remaining_time_in_millis() <= 60000, len(context.aws_request_id), context.log_group_name,\n" +
			"        context.invoked_function_arn.startswith('arn:aws:lambda:'), context.identity.cognito_identity_id]"),
			answer: `^\["probe", "256", "\$LATEST", "v", true, 36, "/aws/lambda/probe", true, null\]$`},
		{name: "the environment", handler: "app.handler", files: python("import os, sys\n" + hello +
			"[os.environ['AWS_EXECUTION_ENV'], os.environ['_HANDLER'], os.getcwd() == os.environ['LAMBDA_TASK_ROOT'],\n" +
			"        os.environ['TZ'], os.environ['LANG'], os.environ['AWS_LAMBDA_INITIALIZATION_TYPE'],\n" +
			"        os.path.isdir(os.environ['LAMBDA_RUNTIME_DIR']), sys.dont_write_bytecode]"),
			answer: `^\["AWS_Lambda_python3.13", "app.handler", true, ":UTC", "en_US.UTF-8", "on-demand", true, true\]$`},
		{name: "logs", handler: "app.handler",
			answer: `^1$`, log: []string{`(?m)^printed$`, `(?m)^to stderr$`, `\[INFO\].*Z\t[0-9a-f-]{36}\tlogged`},
			files: python("import logging, sys\nlogging.getLogger().setLevel('INFO')\ndef handler(event, context):\n" +
				"    print('printed')\n    print('to stderr', file=sys.stderr)\n    logging.info('logged')\n    return 1\n")},
		{name: "an exception", handler: "app.handler", failed: true,
			files: python("def handler(event, context):\n    raise ValueError('boom')\n"),
			answer: `^{"errorMessage": ?"boom", "errorType": ?"ValueError", "requestId": ?"[0-9a-f-]{36}", ` +
				`"stackTrace": ?\[" +File \\".*app.py\\", line 2, in handler\\n +raise`,
			log: []string{`\[ERROR\] ValueError: boom`, `Traceback \(most recent call last\):`, `app.py", line 2, in handler`}},
		{name: "no such module", handler: "app.handler", failed: true, files: map[string]string{"other.py": ""},
			answer: `"errorMessage": ?"Unable to import module 'app': No module named 'app'", "errorType": ?"Runtime.ImportModuleError"`},
		{name: "an import that fails", handler: "app.handler", failed: true, files: python("import nowhere\n"),
			answer: `"errorMessage": ?"Unable to import module 'app': No module named 'nowhere'", "errorType": ?"Runtime.ImportModuleError"`,
			log:    []string{`app.py", line 1`, `\[ERROR\] Runtime.ImportModuleError`}},
		{name: "no such handler", handler: "app.handler", failed: true, files: python("x = 1\n"),
			answer: `"errorMessage": ?"Handler 'handler' missing on module 'app'", "errorType": ?"Runtime.HandlerNotFound"`},
		{name: "a syntax error", handler: "app.handler", failed: true, files: python("def handler(:\n"),
			answer: `"errorMessage": ?"Syntax error in module 'app': .*", "errorType": ?"Runtime.UserCodeSyntaxError".*app.py\\" Line 1`},
		{name: "an exception in INIT", handler: "app.handler", failed: true, files: python("1 / 0\n"),
			answer: `"errorMessage": ?"division by zero", "errorType": ?"ZeroDivisionError".*"stackTrace": ?\[" +File`,
			log:    []string{`Traceback`, `app.py", line 1, in <module>`}},
		{name: "no JSON", handler: "app.handler", failed: true, files: python(hello + "{1}"),
			answer: `"errorMessage": ?"Unable to marshal response: Object of type set is not JSON.*", "errorType": ?"Runtime.MarshalError"`},
		{name: "an exit", handler: "app.handler", failed: true, files: python("import os\ndef handler(event, context):\n    os._exit(3)\n"),
			answer: `"errorMessage":"RequestId: [0-9a-f-]+ Error: Runtime exited with error: exit status 3","errorType":"Runtime.ExitError"`},
		{name: "sys.exit", handler: "app.handler", failed: true, files: python("import sys\ndef handler(event, context):\n    sys.exit(3)\n"),
			answer: `exit status 3","errorType":"Runtime.ExitError"`},
		{name: "an exit in INIT", handler: "app.handler", failed: true, files: python("import os\nprint('going')\nos._exit(1)\n"),
			answer: `exit status 1","errorType":"Runtime.ExitError"`},
		{name: "garbage on the way", handler: "app.handler", answer: `^1$`,
			files: python("import os\ndef handler(event, context):\n    os.write(1, bytes(range(256)) * 100)\n    return 1\n")},
		{name: "a child process", handler: "app.handler", answer: `^"child"$`,
			files: python("import subprocess\n" + hello + "subprocess.run(['echo', 'child'], capture_output=True, text=True).stdout.strip()")},
	} {
		tt.run(t, "python3.13")
	}
}

func TestNode(t *testing.T) {
	need(t, "node", "nodejs")
	for _, tt := range []handlerTest{
		{name: "an answer", handler: "index.handler", files: node("exports.handler = async (event) => ({ got: event, 'é': 1.5 })"),
			event: `{"a":[1,null,"ü"]}`, answer: `^{"got":{"a":\[1,null,"ü"\]},"é":1.5}$`},
		{name: "nothing", handler: "index.handler", files: node("exports.handler = async () => {}"), answer: `^null$`},
		{name: "a callback", handler: "index.handler",
			files: node("exports.handler = (event, context, callback) => { callback(null, 7) }"), answer: `^7$`},
		{name: "a callback that waits for the rest", handler: "index.handler", answer: `^\["late"\]$`,
			files: node("exports.handler = (e, c, callback) => { const seen = []; setTimeout(() => seen.push('late'), 20); callback(null, seen) }")},
		{name: "a callback that does not wait", handler: "index.handler", answer: `^\[\]$`,
			files: node("exports.handler = (e, context, callback) => {" +
				" context.callbackWaitsForEmptyEventLoop = false; const seen = []; setTimeout(() => seen.push('late'), 500); callback(null, seen) }")},
		{name: "a callback with an error", handler: "index.handler", failed: true,
			answer: `^{"errorType":"RangeError","errorMessage":"no","trace":\["RangeError: no"`,
			files:  node("exports.handler = (e, c, callback) => { callback(new RangeError('no')) }")},
		{name: "neither callback nor promise", handler: "index.handler", answer: `^null$`,
			files: node("exports.handler = (e, c, callback) => 7")},
		{name: ".mjs", handler: "index.handler", answer: `^"esm"$`,
			files: map[string]string{"index.mjs": "const kind = await Promise.resolve('esm'); export const handler = async () => kind"}},
		{name: ".cjs", handler: "index.handler", files: map[string]string{"index.cjs": "exports.handler = async () => 'cjs'"}, answer: `^"cjs"$`},
		{name: "a package of modules", handler: "index.handler", answer: `^"esm"$`,
			files: map[string]string{"package.json": `{"type":"module"}`, "index.js": "export const handler = async () => 'esm'"}},
		{name: "in a folder, nested", handler: "src/index.api.handler", answer: `^1$`,
			files: map[string]string{"src/index.js": "exports.api = { handler: async () => 1 }"}},
		{name: "beside a folder of its name", handler: "app.handler", answer: `^"beside"$`, files: map[string]string{
			"app.js": "exports.handler = async () => require('./app/part')", "app/part.js": "module.exports = 'beside'"}},
		{name: "in a folder of its name", handler: "app.handler", answer: `^"inside"$`,
			files: map[string]string{"app/index.js": "exports.handler = async () => 'inside'"}},
		{name: "a dependency", handler: "index.handler", answer: `^"dep"$`, files: map[string]string{
			"index.js": "const dep = require('dep'); exports.handler = async () => dep", "node_modules/dep/index.js": "module.exports = 'dep'"}},
		{name: "the context", handler: "index.handler", context: "eyJjdXN0b20iOnsiayI6InYifX0=",
			files: node("exports.handler = async (e, c) => " +
				"[c.functionName, c.memoryLimitInMB, c.functionVersion, c.clientContext.custom.k, " +
				"c.getRemainingTimeInMillis() > 0, c.awsRequestId.length, c.logGroupName]"),
			answer: `^\["probe","256","\$LATEST","v",true,36,"/aws/lambda/probe"\]$`},
		{name: "the environment", handler: "index.handler", files: node("const e = process.env; exports.handler = async () => " +
			"[e.AWS_EXECUTION_ENV, e._HANDLER, process.cwd() === e.LAMBDA_TASK_ROOT, e.TZ, e.NODE_PATH.endsWith(e.LAMBDA_TASK_ROOT)]"),
			answer: `^\["AWS_Lambda_nodejs20.x","index.handler",true,":UTC",true\]$`},
		{name: "logs", handler: "index.handler",
			files:  node("exports.handler = async () => { console.log('a %d', 1); console.warn({ b: 2 }); return 1 }"),
			answer: `^1$`, log: []string{`Z\t[0-9a-f-]{36}\tINFO\ta 1\n`, `Z\t[0-9a-f-]{36}\tWARN\t{ b: 2 }\n`}},
		{name: "an exception", handler: "index.handler", failed: true,
			files:  node("exports.handler = async () => { throw new TypeError('boom') }"),
			answer: `^{"errorType":"TypeError","errorMessage":"boom","trace":\["TypeError: boom"," +at .*index.js:1:`,
			log:    []string{`\tERROR\tInvoke Error\tTypeError: boom\n +at .*index.js:1:`}},
		{name: "a string thrown", handler: "index.handler", failed: true, files: node("exports.handler = async () => { throw 'boom' }"),
			answer: `^{"errorType":"string","errorMessage":"boom","trace":\[\]}$`},
		{name: "no such module", handler: "index.handler", failed: true, files: map[string]string{"other.js": ""},
			answer: `^{"errorType":"Runtime.ImportModuleError","errorMessage":"Error: Cannot find module`},
		{name: "an import that fails", handler: "index.handler", failed: true, files: node("require('nowhere')"),
			answer: `^{"errorType":"Runtime.ImportModuleError","errorMessage":"Error: Cannot find module 'nowhere'`, log: []string{`index.js`}},
		{name: "an import of a module that fails", handler: "index.handler", failed: true,
			files:  map[string]string{"index.mjs": "import 'nowhere'"},
			answer: `^{"errorType":"Runtime.ImportModuleError","errorMessage":"Error.*: Cannot find package 'nowhere'`},
		{name: "no such handler", handler: "index.handler", failed: true, files: node("exports.other = 1"),
			answer: `^{"errorType":"Runtime.HandlerNotFound","errorMessage":"index.handler is undefined or not exported"` +
				`,"trace":\["Runtime.HandlerNotFound: index`},
		{name: "a handler that is none", handler: "index.handler", failed: true, files: node("exports.handler = 1"),
			answer: `^{"errorType":"Runtime.HandlerNotFound","errorMessage":"index.handler is not a function"`},
		{name: "a syntax error", handler: "index.handler", failed: true, files: node("exports.handler = async ( => 1"),
			answer: `^{"errorType":"Runtime.UserCodeSyntaxError","errorMessage":"SyntaxError: Unexpected token`, log: []string{`index.js:1`}},
		{name: "an exception in INIT", handler: "index.handler", failed: true, files: node("null.x"),
			answer: `^{"errorType":"TypeError","errorMessage":"Cannot read properties of null`,
			log:    []string{`ERROR\tUncaught Exception\tTypeError: Cannot read(.*\n)+ +at .*index.js:1:`}},
		{name: "an exception outside of the handler", handler: "index.handler", failed: true,
			files:  node("exports.handler = () => new Promise(() => setTimeout(() => { throw new Error('late') }, 1))"),
			answer: `^{"errorType":"Error","errorMessage":"late"`, log: []string{`Uncaught Exception`}},
		{name: "a rejection that nobody handles", handler: "index.handler", failed: true,
			files:  node("exports.handler = async () => { Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 1000)) }"),
			answer: `^{"errorType":"Runtime.UnhandledPromiseRejection","errorMessage":"Error: lost"`},
		{name: "no JSON", handler: "index.handler", failed: true, files: node("exports.handler = async () => 1n"), answer: `BigInt`},
		{name: "an exit", handler: "index.handler", failed: true, files: node("exports.handler = async () => process.exit(3)"),
			answer: `exit status 3","errorType":"Runtime.ExitError"`},
		{name: "a promise that nothing settles", handler: "index.handler", failed: true,
			files:  node("exports.handler = () => new Promise(() => {})"),
			answer: `"Runtime.ExitError"`},
		{name: "a stream", handler: "index.handler", failed: true, files: node("exports.handler = awslambda.streamifyResponse(async () => {})"),
			answer: `response streaming: the sandbox does not have it`},
		{name: "garbage on the way", handler: "index.handler", answer: `^1$`,
			files: node("exports.handler = async () => { process.stdout.write(Buffer.alloc(30000, '\\x00\\xff')); return 1 }")},
	} {
		tt.run(t, "nodejs20.x")
	}
	// Callbacks ended with Node.js 22; what is returned at once is an answer since.
	for _, tt := range []handlerTest{
		{name: "a callback", handler: "index.handler", files: node("exports.handler = (e, c, callback) => {}"), failed: true,
			answer: `^{"errorType":"Runtime.CallbackHandlerDeprecated"`},
		{name: "neither callback nor promise", handler: "index.handler", files: node("exports.handler = () => 7"), answer: `^7$`},
	} {
		tt.run(t, "nodejs24.x")
	}
}

func TestJava(t *testing.T) {
	need(t, "javac", "default-jdk-headless")
	// Stand-ins for aws-lambda-java-core, which a package brings.
	const in = "package com.amazonaws.services.lambda.runtime; public interface "
	core := map[string]string{
		"Context.java":        in + "Context { String getFunctionName(); int getMemoryLimitInMB(); LambdaLogger getLogger(); }",
		"LambdaLogger.java":   in + "LambdaLogger { void log(String s); }",
		"RequestHandler.java": in + "RequestHandler<I, O> { O handleRequest(I in, Context c); }",
	}
	const imports = "package app; import com.amazonaws.services.lambda.runtime.*; import java.io.*; import java.util.*; "
	class := func(body string) map[string]string {
		files := maps.Clone(core)
		files["App.java"] = imports + "public class App " + body
		return files
	}
	for _, tt := range []handlerTest{
		{name: "a map", handler: "app.App", event: `{"a":[1,null,"ü\n",true,1.5,{"b":{}}]}`,
			answer: `^{"got":{"a":\[1,null,"ü\\u000a",true,1.5,{"b":{}}\]}}$`,
			files: class("implements RequestHandler<Map<String, Object>, Map<String, Object>> { " +
				"public Map<String, Object> handleRequest(Map<String, Object> in, Context c) { return Map.of(\"got\", in); } }")},
		{name: "a stream", handler: "app.App::copy", event: `{"a":1}`, answer: `^{"a":1}$`,
			files: class("{ public static void copy(InputStream in, OutputStream out, Context c) throws IOException { in.transferTo(out); } }")},
		{name: "the context", handler: "app.App::handle", event: `"x"`, answer: `^"probe 256 x"$`, log: []string{`(?m)^logged$`},
			files: class("{ public String handle(String in, Context c) { c.getLogger().log(\"logged\"); " +
				"return c.getFunctionName() + ' ' + c.getMemoryLimitInMB() + ' ' + in; } }")},
		{name: "Lambda's flags", handler: "app.App::handle", answer: `^"true 2 AWS_Lambda_java17"$`,
			files: class("{ public String handle(Object in) { long heap = Runtime.getRuntime().maxMemory() >> 20; " +
				"return (heap > 190 && heap <= 218) + \" \" + Runtime.getRuntime().availableProcessors() + " +
				"\" \" + System.getenv(\"AWS_EXECUTION_ENV\"); } }")},
		{name: "an exception", handler: "app.App::handle", failed: true,
			files: class("{ public String handle(Object in) { throw new IllegalStateException(\"boom\", new RuntimeException(\"why\")); } }"),
			answer: `^{"errorMessage":"boom","errorType":"java.lang.IllegalStateException",` +
				`"stackTrace":\["app.App.handle\(App.java:1\)".*"cause":{"errorMessage":"why"`,
			log: []string{`java.lang.IllegalStateException: boom\n\tat app.App.handle\(App.java:1\)`}},
		{name: "no such class", handler: "app.Other", failed: true, files: class("{}"),
			answer: `^{"errorMessage":"Class not found: app.Other","errorType":"java.lang.ClassNotFoundException"`},
		{name: "no such method", handler: "app.App::other", failed: true, files: class("{}"),
			answer: `^{"errorMessage":"No public method named other .*"errorType":"java.lang.NoSuchMethodException"`},
		{name: "an exception in INIT", handler: "app.App::handle", failed: true,
			files:  class("{ static { Object o = null; o.hashCode(); } public String handle(Object in) { return null; } }"),
			answer: `"errorType":"java.lang.ExceptionInInitializerError".*"cause":{.*java.lang.NullPointerException`, log: []string{`App.java:1`}},
		{name: "an exit", handler: "app.App::handle", failed: true,
			files:  class("{ public String handle(Object in) { System.exit(3); return null; } }"),
			answer: `exit status 3","errorType":"Runtime.ExitError"`},
		{name: "a type that needs the client", handler: "app.App::handle", failed: true,
			files:  class("{ public String handle(Date in) { return null; } }"),
			answer: `aws-lambda-java-runtime-interface-client`},
		{name: "out of heap", handler: "app.App::handle", failed: true, files: class("{ public String handle(Object in) { " +
			"List<byte[]> held = new ArrayList<>(); while (true) held.add(new byte[8 << 20]); } }"), answer: `java.lang.OutOfMemoryError`},
	} {
		tt.run(t, "java17")
	}
}

// INIT has its limit, and memory its own, in whatever process it is used.
func TestManagedLimits(t *testing.T) {
	for _, tt := range []struct{ rt, name, text, handler string }{
		{"python3.13", "app.py", "import time\ntime.sleep(60)\n", "app.handler"},
		{"nodejs20.x", "index.mjs", "await new Promise((r) => setTimeout(r, 60000))", "index.handler"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, tt.name), []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		f := startTestInit(t, time.Second, func(c *Config) {
			c.Functions[0].Code, c.Functions[0].Runtime, c.Functions[0].Handler = dir, tt.rt, tt.handler
		})
		out, err := f.try(t.Context(), "{}")
		if err != nil || !strings.Contains(out.message, "Init phase timed out after 1.00 seconds") {
			t.Errorf("%s: %s, %v", tt.rt, out.raw, err)
		}
	}
	child := "import subprocess, sys\ndef handler(event, context):\n" +
		"    subprocess.run([sys.executable, '-c', 'held = bytearray(b\"x\") * (400 << 20)'], check=True)\n"
	for _, tt := range []struct{ name, rt, file, text, handler, want string }{
		{"Python", "python3.13", "app.py", pythonOOM, "app.handler", "signal: killed"},
		{"Node.js", "nodejs20.x", "index.js", nodeOOM, "index.handler", "signal: killed"},
		{"a child", "python3.13", "app.py", child, "app.handler", "died with <Signals.SIGKILL: 9>"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, tt.file), []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		f := startTest(t, func(c *Config) {
			c.Functions[0].Code, c.Functions[0].Runtime, c.Functions[0].Handler = dir, tt.rt, tt.handler
			c.Functions[0].MemoryMB = 256
		})
		f.needLimits()
		out, err := f.try(t.Context(), "{}")
		if err != nil || !strings.Contains(out.message, tt.want) {
			t.Errorf("%s: %s, %v", tt.name, out.raw, err)
		}
	}
}

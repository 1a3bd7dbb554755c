// Runs a Lambda handler where the package has no aws-lambda-ric. Errors have
// the types and the JSON that it gives them. Responses are not streamed.
import http from "node:http";
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import util from "node:util";

const { env } = process;
const agent = new http.Agent({ keepAlive: true });
// Callbacks, and an answer that is null where none came, ended with Node.js 22.
const callbacks = Number(/nodejs(\d+)/.exec(env.AWS_EXECUTION_ENV)?.[1]) < 24;
let loaded = false;
let current; // the context of the invocation that is not answered yet

function call(method, what, body, headers = {}) {
  const url = `http://${env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/${what}`;
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, agent, headers }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve({ headers: answer.headers, body: Buffer.concat(parts) }));
      answer.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

// Sends an error, and logs it: of INIT, or of the present invocation.
function fail(error, title, type = error?.name) {
  const known = error instanceof Error;
  const object = {
    errorType: known ? type : typeof error,
    errorMessage: known ? error.message : String(error),
    trace: known ? String(error.stack).split("\n") : [],
  };
  // Lambda logs the object, in one line; here the stack has lines of its own, without this file's.
  const says = `${object.errorType}: ${object.errorMessage}`;
  const stack = object.trace.filter((line) => line !== says && !line.includes(import.meta.url));
  console.error([`${title}\t${says}`, ...stack].join("\n"));
  const id = current?.awsRequestId;
  current = undefined;
  const headers = { "Lambda-Runtime-Function-Error-Type": object.errorType };
  if (id) return call("POST", `invocation/${id}/error`, JSON.stringify(object), headers);
  return loaded ? Promise.resolve() : call("POST", "init/error", JSON.stringify(object), headers);
}

function named(name, cause) {
  const error = new Error(String(cause));
  error.stack = cause.stack ?? error.stack.replace(/^Error/, name);
  error.name = name;
  return error;
}

// Gives the handler "module.function"; the module may have folders, as a/b.function.
async function load(name) {
  const [, folder, module, exported] = /^(.*\/)?([^./]*)\.([^/]+)$/.exec(name) ?? [];
  if (exported === undefined || name.includes("..")) throw named("Runtime.MalformedHandlerName", "Bad handler");
  const base = path.resolve(env.LAMBDA_TASK_ROOT, folder ?? "", module);
  let found;
  try {
    const file = ["", ".js", ".mjs", ".cjs"].map((end) => base + end).find(existsSync);
    const require = createRequire(path.join(env.LAMBDA_TASK_ROOT, "index.js"));
    const wanted = file ?? path.join(folder ?? "", module);
    // A name without an ending may be a folder, which import does not take: the file beside it is meant, or its index.
    const ended = file !== undefined && file !== base;
    found = await import(pathToFileURL(ended ? file : require.resolve(wanted, { paths: [env.LAMBDA_TASK_ROOT] })));
  } catch (error) {
    if (error instanceof SyntaxError) throw named("Runtime.UserCodeSyntaxError", error);
    if (/^(ERR_)?MODULE_NOT_FOUND$/.test(error?.code)) throw named("Runtime.ImportModuleError", error);
    throw error;
  }
  const within = (object) => exported.split(".").reduce((value, key) => value?.[key], object);
  const handler = within(found) ?? within(found.default);
  if (handler === undefined) throw named("Runtime.HandlerNotFound", `${name} is undefined or not exported`);
  if (typeof handler !== "function") throw named("Runtime.HandlerNotFound", `${name} is not a function`);
  if (!callbacks && handler.length >= 3) {
    throw named("Runtime.CallbackHandlerDeprecated", "callback-based handlers are not supported from Node.js 24 on: make it async");
  }
  return handler;
}

function contextOf(headers) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: headers["lambda-runtime-client-context"] && JSON.parse(headers["lambda-runtime-client-context"]),
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  };
}

// Calls the handler, in whatever style it is written.
function invoke(handler, event, context) {
  if (!callbacks) return handler(event, context);
  return new Promise((resolve, reject) => {
    const settle = (error, result) => (error ? reject(error) : resolve(result));
    // An answer by callback waits, unless told otherwise, for all that is still going on.
    const callback = (error, result) => {
      if (error || !context.callbackWaitsForEmptyEventLoop) return settle(error, result);
      process.removeAllListeners("beforeExit").once("beforeExit", () => resolve(result));
    };
    Object.assign(context, { done: settle, succeed: resolve, fail: reject });
    const returned = handler(event, context, callback);
    if (typeof returned?.then === "function") return returned.then(resolve, reject);
    if (process.listenerCount("beforeExit") === 0) process.once("beforeExit", () => resolve(null));
  });
}

function die(type, status) {
  return (error) => {
    process.removeAllListeners("beforeExit");
    const known = error instanceof Error ? error : new Error(String(error));
    fail(type ? named(type, known) : known, "Uncaught Exception").finally(() => process.exit(status));
  };
}

process.on("uncaughtException", die(undefined, 129));
process.on("unhandledRejection", die("Runtime.UnhandledPromiseRejection", 128));
for (const [method, level] of Object.entries({ log: "INFO", info: "INFO", debug: "DEBUG", warn: "WARN", error: "ERROR", trace: "TRACE" })) {
  const out = level === "INFO" || level === "DEBUG" ? process.stdout : process.stderr;
  console[method] = (...values) => out.write(
    `${new Date().toISOString()}\t${current?.awsRequestId}\t${level}\t${util.format(...values)}\n`);
}
globalThis.awslambda = {
  streamifyResponse() {
    throw new Error("response streaming: the sandbox does not have it");
  },
};

let handler;
try {
  handler = await load(env._HANDLER);
} catch (error) {
  await fail(error, "Uncaught Exception");
  process.exit(1);
}
loaded = true;
for (;;) {
  const { headers, body } = await call("GET", "invocation/next");
  const context = (current = contextOf(headers));
  env._X_AMZN_TRACE_ID = headers["lambda-runtime-trace-id"] ?? "";
  try {
    const text = JSON.stringify((await invoke(handler, JSON.parse(body), context)) ?? null);
    current = undefined;
    await call("POST", `invocation/${context.awsRequestId}/response`, text);
  } catch (error) {
    await fail(error, "Invoke Error");
  } finally {
    process.removeAllListeners("beforeExit");
  }
}

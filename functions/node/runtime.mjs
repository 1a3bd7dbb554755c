/** The Runtime API's loop, for a runtime that is not Node.js's own (provided.al2023, the sandbox). */

import http from "node:http";
import { handler } from "./index.mjs";

const [hostname, port] = (process.env.AWS_LAMBDA_RUNTIME_API ?? "").split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

/**
 * @param {string} method
 * @param {string} path
 * @param {string} [body]
 * @returns {Promise<{ headers: http.IncomingHttpHeaders, text: string }>}
 */
const call = (method, path, body) =>
  new Promise((resolve, reject) => {
    const options = { agent, hostname, port, method, path: `/2018-06-01/runtime/invocation/${path}` };
    const request = http.request(options, async (response) => {
      const chunks = [];
      for await (const chunk of response) chunks.push(chunk);
      resolve({ headers: response.headers, text: Buffer.concat(chunks).toString() });
    });
    request.on("error", reject).end(body);
  });

for (;;) {
  const { headers, text } = await call("GET", "next");
  const context = {
    getRemainingTimeInMillis: () => Math.max(Number(headers["lambda-runtime-deadline-ms"]) - Date.now(), 0),
  };
  let outcome = "response";
  let answer;
  try {
    answer = await handler(JSON.parse(text), context);
  } catch (error) {
    // Whatever it is, the next event is another one.
    const { name, message, stack } = /** @type {Error} */ (error);
    outcome = "error";
    answer = { errorType: name, errorMessage: message, stackTrace: stack?.split("\n").slice(1) };
  }
  await call("POST", `${headers["lambda-runtime-aws-request-id"]}/${outcome}`, JSON.stringify(answer));
}

/** The clients tuned and stock: @aws-sdk/client-s3. */

import { readFileSync } from "node:fs";
import { Agent } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { GetObjectCommand, paginateListObjectsV2, S3Client } from "@aws-sdk/client-s3";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { FetchError, named, told } from "./errors.mjs";
import { ATTEMPTS, backoff, maxConnections } from "./store.mjs";

/** Counts the connections that it opens. */
class CountingAgent extends Agent {
  opened = 0;

  /** @type {Agent["createConnection"]} */
  createConnection(...args) {
    this.opened++;
    return super.createConnection(...args);
  }
}

/** An SDK's client: see store.mjs. */
export class SDK {
  #client;
  #agent;

  /** @param {boolean} tuned or as it comes: at most 50 sockets, 3 attempts, checksums verified */
  constructor(tuned) {
    const { AWS_CA_BUNDLE: bundle } = process.env; // which other SDKs read by themselves
    const ca = bundle ? readFileSync(bundle) : undefined;
    this.#agent = new CountingAgent({ keepAlive: true, maxSockets: tuned ? maxConnections : 50, ...(ca && { ca }) });
    this.#client = new S3Client({
      requestHandler: new NodeHttpHandler({ httpsAgent: this.#agent, ...(tuned && { requestTimeout: 8000 }) }),
      ...(tuned && {
        maxAttempts: ATTEMPTS,
        requestChecksumCalculation: "WHEN_REQUIRED",
        responseChecksumValidation: "WHEN_REQUIRED",
      }),
    });
  }

  get connections() {
    return this.#agent.opened;
  }

  /** Does nothing: the SDK opens connections only for requests. */
  async warm() {}

  /** @type {import("./store.mjs").Store["pages"]} */
  async *pages(bucket, prefix, signal) {
    const input = { Bucket: bucket, Prefix: prefix, EncodingType: /** @type {const} */ ("url") };
    try {
      for await (const page of paginateListObjectsV2({ client: this.#client }, input, { abortSignal: signal })) {
        yield (page.Contents ?? []).map(({ Key }) => decodeURIComponent((Key ?? "").replaceAll("+", " ")));
      }
    } catch (error) {
      throw toldBy(error, `list s3://${bucket}/${prefix}`);
    }
  }

  /**
   * Reads one object. The SDK tries a request again; a body that breaks off is tried again here.
   * @type {import("./store.mjs").Store["get"]}
   */
  async get(bucket, key, body, read, signal) {
    const tried = `get s3://${bucket}/${key}`;
    for (;;) {
      body.reset();
      let output;
      try {
        output = await this.#client.send(this.#watched(new GetObjectCommand({ Bucket: bucket, Key: key }), read), {
          abortSignal: signal,
        });
      } catch (error) {
        throw toldBy(error, tried);
      }
      try {
        for await (const chunk of /** @type {import("node:stream").Readable} */ (output.Body)) body.write(chunk);
        if (body.size === output.ContentLength) return;
        throw new Error(`${body.size} of ${output.ContentLength} bytes`);
      } catch (error) {
        if (signal.aborted || read.attempts >= ATTEMPTS) {
          throw new FetchError("ShortBody", `${tried}: body broke off: ${told(error)}`);
        }
      }
      await sleep(backoff(read.attempts), undefined, { signal });
    }
  }

  /**
   * Notes each attempt at a command.
   * @param {GetObjectCommand} command
   * @param {import("./store.mjs").Read} read
   */
  #watched(command, read) {
    command.middlewareStack.add(
      (next) => async (args) => {
        read.attempts++;
        const started = performance.now();
        const answer = await next(args);
        read.firstByteMS = performance.now() - started;
        return answer;
      },
      { step: "finalizeRequest", priority: "low", name: "watch" },
    );
    return command;
  }
}

/**
 * Gives the SDK's error the contract's name.
 * @param {unknown} error
 * @param {string} tried
 */
function toldBy(error, tried) {
  if (error instanceof FetchError) return error;
  return named(error instanceof Error ? error.name : "RequestFailed", `${tried}: ${told(error)}`);
}

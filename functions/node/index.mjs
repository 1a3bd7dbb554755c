/** Lambda's entry point for the managed runtime: index.handler. */

import { Fetcher, readSettings } from "./fetch/handler.mjs";

const fetcher = new Fetcher(readSettings(process.env));
await fetcher.warm();

/**
 * @param {unknown} event
 * @param {{ getRemainingTimeInMillis(): number }} context
 */
export const handler = (event, context) => fetcher.handle(event, context.getRemainingTimeInMillis());

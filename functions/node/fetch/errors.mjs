/** Errors with a name that a caller can act on: Lambda's errorType is the error's name. */

/**
 * What an invocation, or the read of one object, can end with. Its message says what was tried, on what.
 *
 * InvalidEvent: the event is malformed, or a value is out of range.
 * NoSuchBucket: the bucket does not exist.
 * AccessDenied: refused by role, bucket policy or signature.
 * ListFailed: listing failed for another reason.
 * ObjectReadFailed: at least one object could not be read whole.
 * DeadlineNear: stopped shortly before the function's time limit.
 * ShortBody: a body ended before its length, past every retry.
 * Others: S3's own, or RequestFailed for what kept a request from reaching S3.
 */
export class FetchError extends Error {
  /**
   * @param {string} name
   * @param {string} message
   */
  constructor(name, message) {
    super(message);
    this.name = name;
  }
}

const DENIED = new Set([
  "AccessDenied",
  "AllAccessDisabled",
  "ExpiredToken",
  "Forbidden",
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
]);

/**
 * Gives S3's error code the contract's name.
 * @param {string} code
 * @param {string} message
 */
export function named(code, message) {
  return new FetchError(DENIED.has(code) ? "AccessDenied" : code, message);
}

/**
 * @param {unknown} error
 * @returns {string} what it says
 */
export const told = (error) => (error instanceof Error ? error.message || error.name : String(error));

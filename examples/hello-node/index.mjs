// A function to measure: it greets whoever the event names, and works a little for it.
import { createHash } from "node:crypto";

export const handler = async (event) => {
  let digest = Buffer.alloc(0);
  for (let i = 0; i < (event.rounds ?? 20_000); i++) {
    digest = createHash("sha256").update(digest).update(event.name).digest();
  }
  return { greeting: `Hello, ${event.name}`, digest: digest.toString("hex") };
};

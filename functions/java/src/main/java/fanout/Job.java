package fanout;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/** Everything that one event asks for: a list, and a bounded number of workers. */
final class Job {
  private static final int WAITING = 1000; // keys: a page is listed while the one before it is read
  private static final Item END = new Item(-1, "");

  private final Event event;
  private final Store client;
  private final Total total = new Total();
  private final BlockingQueue<Item> items = new ArrayBlockingQueue<>(WAITING);
  private final AtomicReference<Throwable> fatal = new AtomicReference<>();
  private volatile int listed;
  private volatile long listing; // nanoseconds

  /** A key, and its place in list order. */
  private record Item(int index, String key) {}

  Job(Event event, Store client) {
    this.event = event;
    this.client = client;
  }

  Total total() {
    return total;
  }

  double listMs() {
    return listing / 1e6;
  }

  /**
   * Lists and reads until all is read, an error ends it, or it is stopAt by System.nanoTime.
   *
   * @throws FetchError if not everything could be read
   */
  void run(int workers, long stopAt) {
    CountDownLatch done = new CountDownLatch(workers + 1);
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      try {
        start(threads, done, this::list);
        for (int i = 0; i < workers; i++) {
          start(threads, done, this::work);
        }
        if (!done.await(stopAt - System.nanoTime(), TimeUnit.NANOSECONDS)) {
          fatal.compareAndSet(null, late());
        }
      } catch (InterruptedException interrupted) {
        Thread.currentThread().interrupt();
        fatal.compareAndSet(null, late());
      } finally {
        if (done.getCount() > 0) {
          threads.shutdownNow();
          client.cancel();
        }
      }
    }
    if (fatal.get() instanceof Error error) {
      throw error;
    } else if (fatal.get() instanceof RuntimeException error) {
      throw error;
    }
    if (total.failure() != null && !event.goOn()) {
      throw new ObjectReadFailed(
          total.errors() + " of " + listed + " objects failed; first " + total.failure());
    }
  }

  /** Runs a task; what it throws ends the job. */
  private void start(ExecutorService threads, CountDownLatch done, Task task) {
    threads.execute(
        () -> {
          try {
            task.run();
          } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
          } catch (Throwable error) { // out of memory, too: nothing may be dropped
            if (fatal.compareAndSet(null, error)) {
              while (done.getCount() > 1) {
                done.countDown(); // nobody waits any more for the others
              }
              client.cancel();
              threads.shutdownNow();
            }
          } finally {
            done.countDown();
          }
        });
  }

  private interface Task {
    void run() throws InterruptedException;
  }

  private void list() throws InterruptedException {
    if (event.keys() != null) {
      put(event.keys());
    } else {
      try {
        client.list(event.bucket(), event.folder(), this::take);
      } catch (S3Error error) {
        throw new ListFailed(error.getMessage());
      }
    }
    items.put(END);
  }

  private long asked = System.nanoTime();

  private void take(List<String> page) {
    listing += System.nanoTime() - asked;
    try {
      put(page);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new S3Error("interrupted");
    }
    asked = System.nanoTime();
  }

  private void put(List<String> page) throws InterruptedException {
    int first = listed;
    listed += page.size();
    for (int i = 0; i < page.size(); i++) {
      items.put(new Item(first + i, page.get(i)));
    }
  }

  private void work() throws InterruptedException {
    Body body =
        new Body(event.find() == null ? null : event.find().getBytes(StandardCharsets.UTF_8));
    for (Item item = items.take(); item != END; item = items.take()) {
      Read read = new Read();
      try {
        client.get(event.bucket(), item.key, body, read);
        total.add(item.index, item.key, body, read);
      } catch (NoSuchBucket error) {
        throw error; // so will all the others
      } catch (FetchError error) {
        total.fail(item.index, item.key, read, error);
      }
    }
    items.put(END); // for the next worker
  }

  private DeadlineNear late() {
    if (listed == 0) {
      return new DeadlineNear(
          "stopped just before the time limit: no page of s3://"
              + event.bucket()
              + "/"
              + event.folder()
              + " was listed; can the function reach S3 (in a VPC: through a gateway endpoint)?");
    }
    return new DeadlineNear(
        "stopped just before the time limit: "
            + total.objects()
            + " of at least "
            + listed
            + " objects read; raise the timeout, the memory or the concurrency");
  }
}

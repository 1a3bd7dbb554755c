#include "fetcher.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <memory>
#include <utility>
#include <vector>

#include "answer.h"
#include "event.h"
#include "json.h"
#include "listing.h"

namespace fanout {
namespace {

using std::chrono::milliseconds;

constexpr int kMbPerVcpu = 1769;  // docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
constexpr int kMaxMemoryMb = 1048576;
constexpr auto kWarmWithin = std::chrono::seconds(2);  // Lambda ends INIT after 10

// A body to read, for one worker.
struct Item : Request {
  explicit Item(std::string_view needle) : body(needle) { sink = &body; }

  uint64_t index = 0;
  std::string key;
  Body body;
};

// Everything that one event asks for.
class Job {
 public:
  Job(const Event& event, Client& client) : event_(event), client_(client) {
    list_.sink = &text_;
    list_.tried = "list s3://" + event.bucket + "/" + event.folder;
    list_.path = "/";
    if (event.keys) {
      page_ = *event.keys;
      total_.listed = page_.size();
      listed_all_ = true;
    }
  }

  // Lists and reads, so many objects at a time. Throws Error, also if it is past stop_at.
  void Run(size_t workers, Clock::time_point stop_at) {
    workers = std::min(workers, Client::MaxConnections() - 1);  // the list takes one, too
    while (true) {
      List();
      Read(workers);
      if (!listing_ && free_.size() == items_.size()) {
        return;
      }
      const std::vector<Request*> done = client_.Poll(stop_at);
      if (done.empty()) {
        throw Late();
      }
      for (Request* request : done) {
        request == &list_ ? TakePage() : TakeObject(static_cast<Item&>(*request));
      }
    }
  }

  [[nodiscard]] const Total& total() const { return total_; }

 private:
  // Asks for a page while the one before it is read: memory does not grow with the objects.
  void List() {
    if (next_ == page_.size() && !waiting_.empty()) {
      page_ = std::exchange(waiting_, {});
      next_ = 0;
    }
    if (!listing_ && !listed_all_ && waiting_.empty()) {
      listing_ = true;
      asked_ = Clock::now();
      list_.query = Listing::Query(event_.folder, token_);
      client_.Start(list_);
    }
  }

  void Read(size_t workers) {
    while (next_ < page_.size() && (!free_.empty() || items_.size() < workers)) {
      if (free_.empty()) {
        items_.push_back(std::make_unique<Item>(event_.find ? std::string_view(*event_.find) : ""));
        free_.push_back(items_.back().get());
      }
      Item& item = *free_.back();
      free_.pop_back();
      item.index = index_++;
      item.key = std::move(page_[next_++]);
      item.path = "/" + Escape(item.key, "/");
      item.tried = "get s3://" + event_.bucket + "/" + item.key;
      client_.Start(item);
    }
  }

  void TakePage() {
    total_.listing += Clock::now() - asked_;
    listing_ = false;
    if (list_.error) {
      const std::string& type = list_.error->type();
      throw Error(type == "NoSuchBucket" || type == "AccessDenied" ? type : "ListFailed", list_.error->what());
    }
    Listing page;
    try {
      page = Listing::Parse(text_.bytes());
    } catch (const Error& error) {
      throw Error("ListFailed", list_.tried + ": " + error.what());
    }
    total_.listed += page.keys.size();
    waiting_ = std::move(page.keys);
    token_ = std::move(page.next);
    listed_all_ = token_.empty();
    List();
  }

  void TakeObject(Item& item) {
    total_.retries += item.attempts - 1;
    free_.push_back(&item);
    if (!item.error) {
      total_.Add(item.index, item.key, item.body, item.first_byte);
    } else if (item.error->type() == "NoSuchBucket") {
      throw Error(*item.error);  // so will all the others
    } else {
      total_.Fail(item.index, item.key, *item.error);
    }
  }

  [[nodiscard]] Error Late() const {
    if (total_.listed == 0) {
      return {"DeadlineNear", "stopped just before the time limit: no page of s3://" + event_.bucket + "/" +
                                  event_.folder +
                                  " was listed; can the function reach S3 (in a VPC: through a gateway endpoint)?"};
    }
    return {"DeadlineNear", "stopped just before the time limit: " + std::to_string(total_.objects) + " of at least " +
                                std::to_string(total_.listed) +
                                " objects read; raise the timeout, the memory or the concurrency"};
  }

  const Event& event_;
  Client& client_;
  Total total_;

  Request list_;
  Text text_;
  std::string token_;
  Clock::time_point asked_;
  bool listing_ = false;
  bool listed_all_ = false;

  std::vector<std::string> page_;
  std::vector<std::string> waiting_;
  size_t next_ = 0;     // of the page
  uint64_t index_ = 0;  // in list order
  std::vector<std::unique_ptr<Item>> items_;
  std::vector<Item*> free_;
};

double Milliseconds(std::chrono::nanoseconds time) { return std::chrono::duration<double, std::milli>(time).count(); }

std::chrono::nanoseconds CpuTime() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// Gives this process's peak of resident memory, 1 MB = 2^20 bytes. It is VmHWM: ru_maxrss survives exec, and so begins
// with the peak of whoever started us.
double MaxRssMb() {
  std::ifstream status("/proc/self/status");
  std::string word;
  double kb = 0;
  while (status >> word) {
    if (word == "VmHWM:") {
      status >> kb;
      break;
    }
  }
  return kb / 1024;
}

std::string Fixed(double number) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.3f", number);
  return text.data();
}

std::string FixedOrNull(const std::optional<double>& number) { return number ? Fixed(*number) : "null"; }

int ReadNumber(const Environment& getenv, const char* name, int otherwise, int most, const std::string& allowed) {
  const std::string value = getenv(name);
  if (value.empty() || value == "auto") {
    return otherwise;
  }
  int number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < 1 || number > most) {
    throw Error("InvalidConfiguration", std::string(name) + "=" + json::Quote(value) + ": must be " + allowed);
  }
  return number;
}

}  // namespace

Settings Settings::Read(const Environment& getenv) {
  Settings settings;
  settings.concurrency = ReadNumber(getenv, "CONCURRENCY", settings.concurrency, kMaxConcurrency, "auto or 1 to 1024");
  settings.memory_mb = ReadNumber(getenv, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 0, kMaxMemoryMb, "a number of MB");
  settings.bucket = getenv("BUCKET");
  if (const std::string client = getenv("CLIENT"); !client.empty() && client != kClient) {
    throw Error("InvalidConfiguration", "CLIENT=" + json::Quote(client) + ": must be " + std::string(kClient));
  }
  return settings;
}

Fetcher::Fetcher(const Environment& getenv)
    : settings_(Settings::Read(getenv)), client_(ClientConfig::FromEnvironment(getenv)) {
  if (!settings_.bucket.empty()) {
    client_.Use(settings_.bucket);
    client_.Warm(static_cast<size_t>(settings_.concurrency), Clock::now() + kWarmWithin);
  }
}

std::string Fetcher::Handle(std::string_view payload, milliseconds left) {
  const auto started = Clock::now();
  const auto cpu = CpuTime();
  const uint64_t connections = client_.connections();
  const bool cold = std::exchange(cold_, false);
  const Event event = Event::Decode(payload);
  const int workers = event.concurrency.value_or(settings_.concurrency);
  client_.Use(event.bucket);
  Job job(event, client_);
  try {
    job.Run(static_cast<size_t>(workers), started + left - Margin(left, settings_.memory_mb));
  } catch (...) {
    client_.Cancel();
    throw;
  }
  const Total& total = job.total();
  if (const auto failure = total.Failure(); failure && !event.go_on) {
    throw Error("ObjectReadFailed", *failure);
  }
  std::array<char, 32> digest{};
  std::snprintf(digest.data(), digest.size(), "%016llx", static_cast<unsigned long long>(total.digest));
  const auto number = [](uint64_t value) { return std::to_string(value); };
  return R"({"lang":"cpp","detail":")" + std::string(kClient) + R"(","result":)" +
         json::Quote(total.Result(event.find.has_value())) + R"(,"time":)" +
         Fixed(Milliseconds(Clock::now() - started) / 1000) + R"(,"stats":{"objects":)" + number(total.objects) +
         R"(,"bytes":)" + number(total.bytes) + R"(,"errors":)" + number(total.errors) + R"(,"retries":)" +
         number(total.retries) + R"(,"connections":)" + number(client_.connections() - connections) + R"(,"list_ms":)" +
         Fixed(Milliseconds(total.listing)) + R"(,"ttfb_p50_ms":)" + FixedOrNull(total.first_byte.PercentileMs(50, 1)) +
         R"(,"ttfb_p99_ms":)" +
         FixedOrNull(total.first_byte.PercentileMs(99, 100)) +  // under 100 it would be the maximum
         R"(,"cpu_ms":)" + Fixed(Milliseconds(CpuTime() - cpu)) + R"(,"max_rss_mb":)" + Fixed(MaxRssMb()) +
         R"(,"digest":")" + digest.data() + R"(","cold":)" + (cold ? "true" : "false") + R"(,"concurrency":)" +
         std::to_string(workers) + R"(,"client":")" + std::string(kClient) + R"("}})";
}

milliseconds Margin(milliseconds left, int memory_mb) {
  milliseconds wind_up(200);
  if (memory_mb > 0) {
    wind_up = std::max(wind_up, std::min(milliseconds(100) * kMbPerVcpu / memory_mb, milliseconds(1500)));
  }
  return std::min(std::max(std::min(left / 10, milliseconds(1000)), wind_up), left / 2);
}

}  // namespace fanout

// Lambda's entry point (provided.al2023). CONCURRENCY sets what an event leaves open; BUCKET names the bucket whose
// connections are opened in INIT.

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "fetcher.h"
#include "json.h"
#include "runtime_api.h"

namespace {

std::string Getenv(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): there is one thread
  return value == nullptr ? "" : value;
}

std::string Describe(std::string_view type, std::string_view message) {
  return R"({"errorType":)" + fanout::json::Quote(type) + R"(,"errorMessage":)" + fanout::json::Quote(message) +
         R"(,"stackTrace":[]})";
}

// Answers events for ever.
[[noreturn]] void Serve() {
  fanout::Fetcher fetcher(Getenv);
  fanout::RuntimeApi api(Getenv("AWS_LAMBDA_RUNTIME_API"));
  while (true) {
    const fanout::Invocation invocation = api.Next();
    std::string answer;
    std::string_view outcome = "response";
    try {
      answer = fetcher.Handle(invocation.payload, invocation.left);
    } catch (const fanout::Error& error) {
      outcome = "error";
      answer = Describe(error.type(), error.what());
    }
    api.Answer(invocation, outcome, answer);
  }
}

}  // namespace

int main() {
  std::signal(SIGPIPE, SIG_IGN);
  try {
    Serve();
  } catch (const std::exception& error) {
    std::cerr << "error: start the function: " << error.what()
              << "\nhint: start it in Lambda, or with fanout sandbox --contender\n";
    return EXIT_FAILURE;
  }
}

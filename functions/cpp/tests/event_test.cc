#include "event.h"

#include <gtest/gtest.h>

#include <random>

#include "error.h"
#include "fetcher.h"
#include "json.h"

namespace fanout {
namespace {

std::string ErrorOf(const std::string& payload) {
  try {
    Event::Decode(payload);
  } catch (const Error& error) {
    EXPECT_EQ(error.type(), "InvalidEvent");
    return error.what();
  }
  return "";
}

TEST(Event, AllFields) {
  const Event event = Event::Decode(
      R"({"s3_bucket_name":"b","find":"x","concurrency":7,"client":"lean","keys":["k","ü"],"on_error":"continue"})");
  EXPECT_EQ(event.bucket, "b");
  EXPECT_EQ(event.find, "x");
  EXPECT_EQ(event.concurrency, 7);
  EXPECT_EQ(event.keys, (std::vector<std::string>{"k", "ü"}));
  EXPECT_TRUE(event.go_on);
}

TEST(Event, NullIsLeftOut) {
  const Event event = Event::Decode(
      R"( {"s3_bucket_name":"b","folder":"p/","find":null,"concurrency":null,"client":null,"keys":null,"on_error":null} )");
  EXPECT_EQ(event.folder, "p/");
  EXPECT_FALSE(event.find || event.concurrency || event.keys || event.go_on);
}

TEST(Event, Refused) {
  const auto with = [](const std::string& more) { return R"({"s3_bucket_name":"b",)" + more + "}"; };
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"[]", "must be a JSON object"},
      {"7", "must be a JSON object"},
      {"{}", "s3_bucket_name is missing"},
      {R"({"s3_bucket_name":""})", "s3_bucket_name is missing"},
      {R"({"s3_bucket_name":7})", "s3_bucket_name must be a string"},
      {R"({"s3_bucket_name":"b/p"})", "without a path"},
      {with(R"("buckets":1)"), "unknown field \"buckets\""},
      {with(R"("buckets":null)"), "unknown field \"buckets\""},
      {with(R"("find":"")"), "find of 0 bytes"},
      {with(R"("find":")" + std::string(1025, 'x') + "\""), "find of 1025 bytes"},
      {with(R"("find":{})"), "find must be a string"},
      {with(R"("concurrency":0)"), "concurrency 0: must be 1 to 1024"},
      {with(R"("concurrency":1025)"), "concurrency 1025"},
      {with(R"("concurrency":1.5)"), "concurrency 1.5"},
      {with(R"("concurrency":1e2)"), "concurrency 1e2"},
      {with(R"("concurrency":99999999999999999999)"), "concurrency 9999"},
      {with(R"("concurrency":"64")"), "concurrency must be a number"},
      {with(R"("concurrency":true)"), "concurrency must be a number"},
      {with(R"("client":"tuned")"), "client \"tuned\": must be lean"},
      {with(R"("keys":"a")"), "keys must be an array"},
      {with(R"("keys":[1])"), "keys must be a string"},
      {with(R"("keys":[""])"), "keys contains an empty key"},
      {with(R"("keys":["a"],"folder":"p/")"), "mutually exclusive"},
      {with(R"("on_error":"ignore")"), "on_error \"ignore\""},
      {with(R"("find":"\ud800")"), "half of a surrogate pair"},
  };
  for (const auto& [payload, want] : rows) {
    EXPECT_NE(ErrorOf(payload).find(want), std::string::npos) << payload << ": " << ErrorOf(payload);
  }
}

TEST(Json, Strings) {
  const auto parsed = json::Parse(R"("a\"\\\/\b\f\n\r\t\u00e9\u65e5\ud83d\ude00日😀")");
  EXPECT_EQ(std::get<std::string>(parsed), "a\"\\/\b\f\n\r\té日😀日😀");
  EXPECT_EQ(json::Quote("a\"\\\n\x01é"), R"("a\"\\\u000a\u0001é")");
}

TEST(Json, Refused) {
  for (const std::string text : {"",
                                 " ",
                                 "nul",
                                 "{",
                                 "[",
                                 "[1,]",
                                 "[1 2]",
                                 "{\"a\"}",
                                 "{\"a\":}",
                                 "{\"a\":1,}",
                                 "{a:1}",
                                 "\"",
                                 "\"\\",
                                 "\"\\x\"",
                                 "\"\\u12\"",
                                 "\"\\u12g4\"",
                                 "\"\n\"",
                                 "\"\xFF\"",
                                 "\"\xC0\x80\"",
                                 "\"\xED\xA0\x80\"",
                                 "\"\xF4\x90\x80\x80\"",
                                 "\"\xE2\x82\"",
                                 "01",
                                 "1.",
                                 ".5",
                                 "-",
                                 "+1",
                                 "1e",
                                 "NaN",
                                 "1 1",
                                 "'a'",
                                 "\"\\ud83dx\"",
                                 "\"\\ud83d\\u0041\"",
                                 "\"\\ude00\""}) {
    EXPECT_THROW(json::Parse(text), Error) << text;
  }
  EXPECT_NO_THROW(json::Parse(std::string(64, '[') + std::string(64, ']')));
  EXPECT_THROW(json::Parse(std::string(66, '[') + std::string(66, ']')), Error);
  EXPECT_THROW(json::Parse(std::string(1'000'000, '[')), Error);
}

// Whatever the bytes are, parsing ends in a value or an Error; the sanitizers see the rest.
TEST(Json, ChangedBytes) {
  const std::string whole = R"({"a":[1,-2.5e+3,true,false,null,"x\u00e9\ud83d\ude00\n日😀"],"b":{"c":[]}})";
  std::minstd_rand random(1);
  size_t parsed = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string changed = whole;
    for (unsigned n = random() % 4; n-- > 0;) {
      changed[random() % changed.size()] = static_cast<char>(random());
    }
    changed.resize(changed.size() - (random() % 2) * (random() % changed.size()));
    try {
      json::Parse(changed);
      ++parsed;
    } catch (const Error&) {
      continue;
    }
  }
  EXPECT_GT(parsed, 1000U);
  EXPECT_LT(parsed, 19'000U);
}

TEST(Settings, Read) {
  const auto read = [](std::map<std::string, std::string> env) {
    return Settings::Read([env = std::move(env)](const char* name) mutable { return env[name]; });
  };
  EXPECT_EQ(read({}).concurrency, 64);
  EXPECT_EQ(read({{"CONCURRENCY", "auto"}}).concurrency, 64);
  const Settings all =
      read({{"CONCURRENCY", "7"}, {"CLIENT", "lean"}, {"BUCKET", "b"}, {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"}});
  EXPECT_EQ(all.concurrency, 7);
  EXPECT_EQ(all.memory_mb, 128);
  EXPECT_EQ(all.bucket, "b");
  for (const auto& [name, value] : std::map<std::string, std::string>{
           {"CONCURRENCY", "1025"}, {"CLIENT", "tuned"}, {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0"}}) {
    EXPECT_THROW(read({{name, value}}), Error) << name;
  }
}

}  // namespace
}  // namespace fanout

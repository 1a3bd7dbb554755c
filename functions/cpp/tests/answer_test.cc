#include "answer.h"

#include <gtest/gtest.h>

#include "crc32c.h"
#include "fetcher.h"

namespace fanout {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

TEST(Crc32c, KnownAnswers) {
  EXPECT_EQ(ExtendCrc32c(0, ""), 0U);
  EXPECT_EQ(ExtendCrc32c(0, "123456789"), 0xE3069283U);            // the check value of every catalogue of CRCs
  EXPECT_EQ(ExtendCrc32c(0, std::string(32, '\0')), 0x8A9136AAU);  // RFC 3720, B.4
}

TEST(Crc32c, InstructionAndTableAgree) {
  std::string bytes;
  for (unsigned i = 0; i < 300; ++i) {  // every length modulo the instruction's eight bytes
    EXPECT_EQ(ExtendCrc32c(i, bytes), ExtendCrc32cPortably(i, bytes)) << i;
    bytes.push_back(static_cast<char>(i * 37));
  }
}

TEST(Fingerprint, TiesAKeyToItsBody) {
  EXPECT_EQ(Fingerprint("123456789", 7), Fingerprint("123456789", 7));
  EXPECT_NE(Fingerprint("a", 1) + Fingerprint("b", 2), Fingerprint("a", 2) + Fingerprint("b", 1));
}

// A needle is found wherever the border between two chunks, or among many, goes through it.
TEST(Body, FindsOverEveryBorder) {
  const std::string text = "nee-need-needle-n";
  for (const std::string needle : {"needle", "n", "e-", "nee-need-needle-n"}) {
    for (size_t first = 0; first <= text.size(); ++first) {
      for (size_t second = first; second <= text.size(); ++second) {
        Body body(needle);
        body.Write(text.substr(0, first));
        body.Write(text.substr(first, second - first));
        body.Write(text.substr(second));
        EXPECT_TRUE(body.found()) << needle << " at " << first << ", " << second;
        EXPECT_EQ(body.crc(), ExtendCrc32c(0, text));
        EXPECT_EQ(body.size(), text.size());
      }
    }
    Body body(needle);
    for (const char character : text) {
      body.Write({&character, 1});
    }
    EXPECT_TRUE(body.found()) << needle << " in single bytes";
  }
}

TEST(Body, FindsNothingThatIsNotThere) {
  Body body("needle");
  for (const char* chunk : {"nee", "", "edle", "needl", "nee", "dl"}) {
    body.Write(chunk);
  }
  EXPECT_FALSE(body.found());
  body.Write("e");
  EXPECT_TRUE(body.found());
}

TEST(Body, ResetForgetsTheTail) {
  Body body("needle");
  body.Write("need");
  body.Reset();
  body.Write("le");
  EXPECT_FALSE(body.found());
  EXPECT_EQ(body.size(), 2U);
}

TEST(Latencies, Percentiles) {
  Latencies latencies;
  EXPECT_FALSE(latencies.PercentileMs(50, 0));
  for (int i = 1; i <= 100; ++i) {
    latencies.Add(milliseconds(i));
  }
  EXPECT_NEAR(latencies.PercentileMs(50, 1).value_or(0), 50, 50 * 0.032);
  EXPECT_NEAR(latencies.PercentileMs(99, 100).value_or(0), 99, 99 * 0.032);
  EXPECT_FALSE(latencies.PercentileMs(99, 101));
}

TEST(Latencies, IsOffByAtMostAThirtieth) {
  for (int64_t us = 1; us < 10'000'000; us = us * 9 / 8 + 1) {
    Latencies latencies;
    latencies.Add(microseconds(us));
    const auto exact = static_cast<double>(us) / 1000;
    EXPECT_NEAR(latencies.PercentileMs(50, 1).value_or(0), exact, exact * 0.032) << us;
  }
}

TEST(Total, EarliestInListOrderCounts) {
  Total total;
  Body found("x");
  found.Write("x");
  total.listed = 4;
  total.Add(3, "c", found, microseconds(1));
  EXPECT_EQ(total.Result(true), "c");
  total.Add(1, "a", found, microseconds(1));
  total.Add(2, "b", found, microseconds(1));
  EXPECT_EQ(total.Result(true), "a");
  EXPECT_EQ(total.Result(false), "3");
  EXPECT_FALSE(total.Failure());
  total.Fail(5, "later", Error("SlowDown", "get: SlowDown"));
  total.Fail(4, "sooner", Error("NoSuchKey", "get: NoSuchKey"));
  EXPECT_EQ(total.Failure(), "2 of 4 objects failed; first \"sooner\": get: NoSuchKey");
}

TEST(Total, NoMatch) { EXPECT_EQ(Total().Result(true), "None"); }

TEST(Margin, LeavesTimeForAnAnswer) {
  struct Row {
    int left_ms, memory_mb, want_ms;
  };
  for (const Row& row : {
           Row{300'000, 1769, 1000},  // a second at most
           Row{5000, 1769, 500},      // a tenth
           Row{1500, 1769, 200},      // what winding up takes
           Row{10'000, 128, 1382},    // on a small share: 100 ms of CPU
           Row{1000, 128, 500},       // half of it at most
           Row{0, 128, 0},            // too late already
           Row{5000, 0, 500},         // not in Lambda
       }) {
    EXPECT_EQ(Margin(milliseconds(row.left_ms), row.memory_mb), milliseconds(row.want_ms)) << row.left_ms;
  }
}

}  // namespace
}  // namespace fanout

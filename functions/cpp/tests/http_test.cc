#include "http.h"

#include <gtest/gtest.h>

#include <random>

#include "error.h"
#include "listing.h"

namespace fanout {
namespace {

struct Row {
  std::string name, bytes;
  int status;
  std::string body;
};

const std::vector<Row>& Whole() {
  static const std::vector<Row> rows = {
      {"sized", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
      {"empty", "HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", 200, ""},
      {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n", 200,
       "hello!"},
      {"a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n", 200,
       "0123456789"},
      {"an error", "HTTP/1.1 503 Slow Down\r\nContent-Length: 21\r\n\r\n<Code>SlowDown</Code>", 503,
       "<Code>SlowDown</Code>"},
  };
  return rows;
}

// A response is the same in one piece, in single bytes, and cut in two at any place.
TEST(ResponseParser, WholeHoweverItComes) {
  for (const Row& row : Whole()) {
    for (size_t cut = 0; cut <= row.bytes.size(); ++cut) {
      ResponseParser parser;
      Text body;
      parser.Begin(body);
      const std::string_view bytes = row.bytes;
      EXPECT_EQ(parser.Feed(bytes.substr(0, cut)), cut == bytes.size()) << row.name << " at " << cut;
      EXPECT_TRUE(parser.Feed(bytes.substr(cut)));
      EXPECT_EQ(parser.status(), row.status);
      EXPECT_EQ(row.status == 200 ? body.bytes() : parser.text(), row.body);
      EXPECT_FALSE(parser.in_body());
    }
    ResponseParser parser;
    Text body;
    parser.Begin(body);
    for (size_t i = 0; i < row.bytes.size(); ++i) {
      EXPECT_EQ(parser.Feed({&row.bytes[i], 1}), i + 1 == row.bytes.size()) << row.name << " at " << i;
    }
  }
}

TEST(ResponseParser, OneAfterTheOther) {
  ResponseParser parser;
  for (const Row& row : Whole()) {
    Text body;
    parser.Begin(body);
    EXPECT_TRUE(parser.Feed(row.bytes)) << row.name;
    EXPECT_EQ(row.status == 200 ? body.bytes() : parser.text(), row.body);
  }
}

TEST(ResponseParser, Headers) {
  ResponseParser parser;
  Text body;
  parser.Begin(body);
  parser.Feed("HTTP/1.1 200 OK\r\nX-Id:  7 \r\nconnection: Close\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(parser.Header("x-id"), "7");
  EXPECT_EQ(parser.Header("id"), "");
  EXPECT_TRUE(parser.last());
}

TEST(ResponseParser, Refused) {
  for (const std::string bytes : {
           "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
           "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
           "HTTP/1.1 200 OK\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
       }) {
    ResponseParser parser;
    Text body;
    parser.Begin(body);
    EXPECT_THROW(parser.Feed(bytes), ConnectionError) << bytes;
  }
  ResponseParser parser;
  Text body;
  parser.Begin(body);
  EXPECT_THROW(parser.Feed("HTTP/1.1 " + std::string(1 << 17, 'x')), ConnectionError);
}

TEST(ResponseParser, ShortIsNotWhole) {
  ResponseParser parser;
  Text body;
  parser.Begin(body);
  EXPECT_FALSE(parser.Feed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"));
  EXPECT_TRUE(parser.in_body());
}

// Whatever the bytes are, parsing ends; the sanitizers see the rest.
TEST(ResponseParser, ChangedBytes) {
  std::minstd_rand random(1);
  size_t parsed = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string changed = Whole()[random() % Whole().size()].bytes;
    for (unsigned n = random() % 4; n-- > 0;) {
      changed[random() % changed.size()] = static_cast<char>(random());
    }
    ResponseParser parser;
    Text body;
    parser.Begin(body);
    try {
      parsed += parser.Feed(changed) ? 1 : 0;
    } catch (const ConnectionError&) {
      continue;
    }
  }
  EXPECT_GT(parsed, 1000U);
}

TEST(Escape, KeepsOnlyTheUnreserved) {
  EXPECT_EQ(Escape("aZ09-._~ /+%é\n"), "aZ09-._~%20%2F%2B%25%C3%A9%0A");
  EXPECT_EQ(Escape("a/../b//c", "/"), "a/../b//c");
}

TEST(Escape, Undone) {
  EXPECT_EQ(Unescape("a+b%20%2B%c3%A9"), "a b +é");
  for (const char* broken : {"%", "%4", "a%zz", "%-1", "% 1"}) {
    EXPECT_EQ(Unescape(broken), std::string(broken));
  }
}

TEST(Listing, Page) {
  const Listing page = Listing::Parse(
      "<ListBucketResult><EncodingType>url</EncodingType><NextContinuationToken>a&amp;b&lt;=</NextContinuationToken>"
      "<Contents><Key>p/a%20b</Key><Size>1</Size></Contents><Contents><Key>p/%3CKey%3E</Key></Contents></"
      "ListBucketResult>");
  EXPECT_EQ(page.keys, (std::vector<std::string>{"p/a b", "p/<Key>"}));
  EXPECT_EQ(page.next, "a&b<=");
}

TEST(Listing, LastPageAndBroken) {
  const Listing page = Listing::Parse("<EncodingType>url</EncodingType><Key>cut of");
  EXPECT_TRUE(page.keys.empty());
  EXPECT_TRUE(page.next.empty());
  EXPECT_THROW(Listing::Parse("<html>"), Error);
}

TEST(Listing, Query) {
  EXPECT_EQ(Listing::Query("a b/", ""), "encoding-type=url&list-type=2&prefix=a%20b%2F");
  EXPECT_EQ(Listing::Query("", "x=/"), "continuation-token=x%3D%2F&encoding-type=url&list-type=2&prefix=");
}

}  // namespace
}  // namespace fanout

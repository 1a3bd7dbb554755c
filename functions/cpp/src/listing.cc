#include "listing.h"

#include <array>
#include <optional>
#include <utility>

#include "error.h"
#include "http.h"

namespace fanout {
namespace {

// Takes what is between the next <name> and </name>, and everything before it, off a text.
std::optional<std::string_view> TakeElement(std::string_view& xml, std::string_view open, std::string_view close) {
  const size_t start = xml.find(open);
  if (start == std::string_view::npos) {
    return std::nullopt;
  }
  const size_t end = xml.find(close, start + open.size());
  if (end == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view inside = xml.substr(start + open.size(), end - start - open.size());
  xml.remove_prefix(end + close.size());
  return inside;
}

std::string Unxml(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, char>, 5> kEntities = {{
      {"&amp;", '&'},
      {"&lt;", '<'},
      {"&gt;", '>'},
      {"&quot;", '"'},
      {"&apos;", '\''},
  }};
  std::string plain;
  while (!text.empty()) {
    size_t length = 1;
    char character = text.front();
    for (const auto& [entity, meaning] : kEntities) {
      if (text.starts_with(entity)) {
        length = entity.size();
        character = meaning;
      }
    }
    plain.push_back(character);
    text.remove_prefix(length);
  }
  return plain;
}

}  // namespace

// Escaped keys have nothing that XML would escape, so that no parser of XML is needed.
Listing Listing::Parse(std::string_view xml) {
  if (xml.find("<EncodingType>url</EncodingType>") == std::string_view::npos) {
    throw Error("InvalidListing", "not a listing with escaped keys");
  }
  Listing page;
  std::string_view rest = xml;
  while (const auto key = TakeElement(rest, "<Key>", "</Key>")) {
    page.keys.push_back(Unescape(*key));
  }
  rest = xml;
  if (const auto token = TakeElement(rest, "<NextContinuationToken>", "</NextContinuationToken>")) {
    page.next = Unxml(*token);
  }
  return page;
}

std::string Listing::Query(std::string_view prefix, std::string_view token) {
  const std::string query = "encoding-type=url&list-type=2&prefix=" + Escape(prefix);
  return token.empty() ? query : "continuation-token=" + Escape(token) + "&" + query;
}

}  // namespace fanout

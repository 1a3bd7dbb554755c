#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fanout {

// One page of ListObjectsV2 with escaped keys.
struct Listing {
  std::vector<std::string> keys;  // as they are
  std::string next;               // the token of the page after this one; empty: there is none

  // Reads a page. Throws Error InvalidListing if it is none, or its keys are not escaped.
  static Listing Parse(std::string_view xml);

  // Gives the query that asks for a page: the first, if token is empty.
  static std::string Query(std::string_view prefix, std::string_view token);
};

}  // namespace fanout

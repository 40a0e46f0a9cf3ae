// Names of which something was told, so that it is told once.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace phlower::agent {

/// Not thread safe. Memory: bounded by what `fresh` is given at once.
class ToldNames {
 public:
  /// Those of `now` that were not among the last ones. Who has gone and comes again is told anew.
  std::vector<std::string> fresh(std::vector<std::string> now) {
    std::vector<std::string> added;
    for (const std::string& name : now) {
      if (!told_.contains(name)) added.push_back(name);
    }
    told_ = std::set<std::string>(now.begin(), now.end());
    return added;
  }

 private:
  std::set<std::string> told_;
};

/// "a", "a and b", "a, b and 7 more". Empty for none.
inline std::string few_names(const std::vector<std::string>& names) {
  if (names.empty()) return {};
  if (names.size() == 1) return names[0];
  if (names.size() == 2) return names[0] + " and " + names[1];
  return names[0] + ", " + names[1] + " and " + std::to_string(names.size() - 2) + " more";
}

}  // namespace phlower::agent

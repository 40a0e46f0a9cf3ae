// JSON as the tools print it. The only header of the tools that includes nlohmann/json.
#pragma once

#include <nlohmann/json.hpp>

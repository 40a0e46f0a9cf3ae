// The store: the history in one SQLite file (layout `single`). START HERE for everything under
// single/; the other headers of this room are its parts.
#pragma once

#include "phlower/single/single_store_class.hpp"
#include "phlower/single/single_store_impl.hpp"

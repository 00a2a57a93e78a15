#include "plan/routes.hpp"

#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <string>

/// EXPECT_ERROR(statement, ShapeError, "kernel 7", "use padding"): the statement throws exactly
/// that type of error, and its text contains every one of the words.
#define EXPECT_ERROR(statement, ErrorType, ...)                                               \
  ::convkit::test::expect_error<ErrorType>([&] { static_cast<void>(statement); }, #statement, \
                                           #ErrorType, {__VA_ARGS__})

namespace convkit::test {

template <class ErrorType, class Body>
void expect_error(Body body, const char* statement, const char* type,
                  std::initializer_list<std::string> words) {
  try {
    body();
  } catch (const ErrorType& error) {
    for (const std::string& word : words)
      EXPECT_THAT(error.what(), ::testing::HasSubstr(word)) << statement;
    return;
  } catch (const std::exception& error) {
    ADD_FAILURE() << statement << " should throw " << type << ", but threw: " << error.what();
    return;
  }
  ADD_FAILURE() << statement << " should throw " << type << ", but did not throw";
}

}  // namespace convkit::test

// assay: the program.
#include "cli/program.h"
#include "cli/terminal_progress.h"

int main(int count, char** arguments) {
  assay::cli::catch_interrupts();
  return assay::cli::run_program(
      {count > 0 ? arguments[0] : "assay", std::vector<std::string>(arguments + std::min(count, 1), arguments + count)});
}

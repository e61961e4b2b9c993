// A program by somebody else: it sees nothing but the installed post, and links with it.
#include <post/post.hpp>

int main() {
    post::Context context;
    context.run();  // nothing is asked for, so it returns at once
}

// Everything but the adapters (post/coro.hpp, post/asio.hpp).
#pragma once

#include <post/address.hpp>
#include <post/association.hpp>
#include <post/bytes.hpp>
#include <post/carrier.hpp>
#include <post/codec.hpp>
#include <post/context.hpp>
#include <post/error.hpp>
#include <post/file.hpp>
#include <post/framers.hpp>
#include <post/function.hpp>
#include <post/identity.hpp>
#include <post/ids.hpp>
#include <post/listener.hpp>
#include <post/local.hpp>
#include <post/message.hpp>
#include <post/operation.hpp>
#include <post/path.hpp>
#include <post/policy.hpp>
#include <post/quic.hpp>
#include <post/remote.hpp>
#include <post/responder.hpp>
#include <post/result.hpp>
#include <post/time.hpp>
#include <post/waits.hpp>

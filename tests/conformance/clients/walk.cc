// The walk of tests/conformance/test_clients.py by gRPC's C++ library: prints what it was answered.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

#include <grpcpp/grpcpp.h>

#include "campuscard/v1/terminal_service.grpc.pb.h"

namespace pb = campuscard::v1;

namespace {

struct Caller {
  std::unique_ptr<pb::TerminalService::Stub> stub;
  std::string terminal;
  unsigned batch, first;
  std::string token;
};

std::string unhex(const std::string &text) {
  std::string bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

std::string hex(const std::string &bytes) {
  std::string text;
  char two[3];
  for (unsigned char byte : bytes) {
    std::snprintf(two, sizeof(two), "%02x", byte);
    text += two;
  }
  return text;
}

void within(grpc::ClientContext *context) {
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
}

void die(const grpc::Status &status) {
  std::cerr << status.error_code() << " " << status.error_message() << "\n";
  std::exit(1);
}

pb::AuthorizeRequest sale(const Caller &c, unsigned offset, long fen) {
  pb::AuthorizeRequest request;
  request.set_terminal_id(c.terminal);
  request.set_batch_no(c.batch);
  request.set_terminal_seq(c.first + offset);
  request.mutable_medium()->set_type(pb::MEDIUM_TYPE_RFID_CARD);
  request.mutable_medium()->set_token(c.token);
  request.set_amount_fen(fen);
  return request;
}

std::string decided(const Caller &c, const pb::AuthorizeRequest &request) {
  grpc::ClientContext context;
  pb::AuthorizeResponse response;
  within(&context);
  grpc::Status status = c.stub->Authorize(&context, request, &response);
  if (!status.ok()) die(status);
  const pb::Decision &d = response.decision();
  std::ostringstream out;
  out << "[\"" << d.reason() << "\"," << d.approved_fen() << "," << d.balance_fen() << ","
      << (d.replayed() ? "true" : "false") << "]";
  return out.str();
}

std::string told(const grpc::Status &status) {
  std::ostringstream out;
  out << "[" << status.error_code() << ",\"" << status.error_message() << "\",\""
      << hex(status.error_details()) << "\"]";
  return out.str();
}

std::string refused(const Caller &c, const pb::AuthorizeRequest &request) {
  grpc::ClientContext context;
  pb::AuthorizeResponse response;
  within(&context);
  return told(c.stub->Authorize(&context, request, &response));
}

std::string never(const Caller &c) {
  grpc::ClientContext context;
  pb::GetTransactionRequest request;
  pb::GetTransactionResponse response;
  within(&context);
  request.set_seq(1ULL << 40);
  return told(c.stub->GetTransaction(&context, request, &response));
}

std::string streamed(const Caller &c, unsigned count) {
  grpc::ClientContext context;
  within(&context);
  auto stream = c.stub->AuthorizeStream(&context);
  std::thread writer([&] {
    for (unsigned i = 0; i < count; i++) {
      pb::AuthorizeStreamRequest request;
      *request.mutable_authorization() = sale(c, 10 + i, 1);
      stream->Write(request);
    }
    stream->WritesDone();
  });
  std::ostringstream out;
  pb::AuthorizeStreamResponse response;
  const char *comma = "";
  out << "[";
  while (stream->Read(&response)) {
    out << comma << "[" << response.terminal_seq() - c.first << ",\""
        << response.decision().reason() << "\"," << response.decision().balance_fen() << "]";
    comma = ",";
  }
  writer.join();
  grpc::Status status = stream->Finish();
  if (!status.ok()) die(status);
  out << "]";
  return out.str();
}

std::string batched(const Caller &c, unsigned count) {
  grpc::ClientContext context;
  pb::AuthorizeBatchRequest request;
  pb::AuthorizeBatchResponse response;
  within(&context);
  request.set_terminal_id(c.terminal);
  request.set_batch_no(c.batch);
  for (unsigned i = 0; i < count; i++) {
    pb::AuthorizeItem *item = request.add_items();
    item->set_terminal_seq(c.first + 200 + i);
    item->set_medium_type(pb::MEDIUM_TYPE_RFID_CARD);
    item->set_medium_token(c.token);
    item->set_amount_fen(2);
  }
  grpc::Status status = c.stub->AuthorizeBatch(&context, request, &response);
  if (!status.ok()) die(status);
  std::ostringstream out;
  const char *comma = "";
  out << "[";
  for (const pb::AuthorizeResult &result : response.results()) {
    out << comma << "[\"" << pb::Outcome_Name(result.outcome()) << "\"," << result.balance_fen()
        << "]";
    comma = ",";
  }
  out << "]";
  return out.str();
}

unsigned beat(const Caller &c) {
  grpc::ClientContext context;
  pb::HeartbeatRequest request;
  pb::HeartbeatResponse response;
  within(&context);
  request.set_terminal_id(c.terminal);
  grpc::Status status = c.stub->Heartbeat(&context, request, &response);
  if (!status.ok()) die(status);
  return response.batch_no();
}

std::shared_ptr<grpc::ChannelCredentials> credentials(const std::string &ca) {
  if (ca == "-") return grpc::InsecureChannelCredentials();
  std::ifstream file(ca);
  std::stringstream pem;
  pem << file.rdbuf();
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = pem.str();
  return grpc::SslCredentials(options);
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 7) return 2;
  auto channel = grpc::CreateChannel(argv[1], credentials(argv[2]));
  Caller c{pb::TerminalService::NewStub(channel), argv[3],
           static_cast<unsigned>(std::stoul(argv[4])), static_cast<unsigned>(std::stoul(argv[5])),
           unhex(argv[6])};
  pb::AuthorizeRequest nameless = sale(c, 1, 1), large = sale(c, 1, 1);
  nameless.clear_terminal_id();
  large.set_pin(std::string(70000, '1'));
  std::cout << "{\"sale\":" << decided(c, sale(c, 0, 700));
  std::cout << ",\"replay\":" << decided(c, sale(c, 0, 700));
  std::cout << ",\"other\":" << decided(c, sale(c, 0, 701));
  std::cout << ",\"field\":" << refused(c, nameless);
  std::cout << ",\"large\":" << refused(c, large);
  std::cout << ",\"never\":" << never(c);
  std::cout << ",\"stream\":" << streamed(c, 100);
  std::cout << ",\"batch\":" << batched(c, 50);
  std::cout << ",\"beat\":" << beat(c) << "}\n";
  return 0;
}

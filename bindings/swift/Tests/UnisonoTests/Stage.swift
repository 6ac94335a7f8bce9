// What the tests share: the real server, and clients of it in a folder of their own.

import Foundation
import Testing
import Unisono

/// A folder and a server, which end with the test.
final class Stage {
    let folder: URL
    let server: Process
    let url: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("unisono-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let output = Pipe()
        server = try Stage.start(["serve", "--dev", "--listen", "127.0.0.1:0"], in: folder, output)
        var line = Data()
        while !line.contains(UInt8(ascii: "\n")) {
            let more = output.fileHandleForReading.availableData
            try #require(!more.isEmpty, "the server ended without a word")
            line.append(more)
        }
        let said = String(decoding: line, as: UTF8.self)
        url = String(said.split(separator: "\n")[0].split(separator: " ").last!)
    }

    deinit {
        // `waitUntilExit` would hold up a thread that other tests need.
        kill(server.processIdentifier, SIGKILL)
        try? FileManager.default.removeItem(at: folder)
    }

    func token(_ user: String = "anna") throws -> String {
        let output = Pipe()
        _ = try Stage.start(["token", "--dev", "--user", user], in: folder, output)
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// A client of the server, with a token of the account's unless it is given one, or what gives one.
    func open(
        _ name: String, account: String = "anna", token: String? = nil, tokens: TokenSource? = nil
    ) async throws -> Client {
        let path = folder.appendingPathComponent("\(name).db").path
        let token = try tokens == nil ? token ?? self.token(account) : nil
        return try await Client.open(
            options: ClientOptions(path: path, url: url, account: account, token: token, tokenSource: tokens))
    }

    private static func start(_ arguments: [String], in folder: URL, _ output: Pipe) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: ProcessInfo.processInfo.environment["UNISONO_SERVER"]!)
        process.arguments = arguments + ["--data", folder.appendingPathComponent("server").path]
        process.environment = [:]
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }
}

/// The fields of the error that `call` must throw.
func failure(_ call: () async throws -> Void) async -> (code: String, kind: ErrorKind, retryable: Bool)? {
    do {
        try await call()
        return nil
    } catch UnisonoError.Failed(let code, let kind, let retryable, _, _) {
        return (code, kind, retryable)
    } catch {
        return nil
    }
}

// The generated Swift, against the real server.

import Foundation
import Testing
import Unisono

@Test func twoDevicesEndInUnisonAndErrorsTellTheirCode() async throws {
    let stage = try Stage()
    let (desk, laptop) = (try await stage.open("desk"), try await stage.open("laptop"))
    let samples = desk.collection(name: "samples")
    let event = try await samples.create(
        id: "bd_808.flac", doc: #"{"name":"bd 808","category":"bd","content":18446744073709551615}"#)
    _ = try await samples.edit(id: "bd_808.flac").increment(path: "/plays", by: 2)
        .add(path: "/tags", values: ["\"808\""]).commit()
    #expect(try await desk.syncNow().pushed == 1)
    guard case .applied = try await desk.settled(event: event) else {
        Issue.record("the event is not applied")
        return
    }

    #expect(try await laptop.syncNow().pulled == 1)
    let theirs = laptop.collection(name: "samples")
    let expected = #"{"category":"bd","content":18446744073709551615,"name":"bd 808","plays":2,"tags":["808"]}"#
    #expect(try await theirs.get(id: "bd_808.flac") == expected)
    let found = try await theirs.query(options: #"{"where":{"plays":{"$ge":2}},"order_by":"name"}"#)
    #expect(found.map(\.id) == ["bd_808.flac"])

    let refused = await failure { _ = try await theirs.create(id: "bd_808.flac", doc: "{}") }
    #expect(refused?.code == "already_exists" && refused?.kind == .conflict && refused?.retryable == false)
    let malformed = await failure { _ = try await theirs.create(id: "a", doc: #"{"n":1e999}"#) }
    #expect(malformed?.code == "invalid_number" && malformed?.kind == .invalid)

    try await desk.close()
    try await laptop.close()
    try await laptop.close()
    let closed = await failure { _ = try await theirs.get(id: "bd_808.flac") }
    #expect(closed?.code == "closed" && closed?.kind == .closed)
}

/// Tells what it hears, and throws.
final class Listener: EventListener {
    let heard: AsyncStream<String>.Continuation

    init(_ heard: AsyncStream<String>.Continuation) {
        self.heard = heard
    }

    func onEvent(event: ClientEvent) throws {
        if case .changed(_, let key) = event {
            heard.yield(key.record)
            throw CallbackError.Failed(reason: "a listener's own mistake")
        }
    }
}

@Test func aListenerMayThrowAndAWatchTellsTheAnswer() async throws {
    let stage = try Stage()
    let client = try await stage.open("a")
    let samples = client.collection(name: "samples")
    let watch = try samples.watch(options: #"{"order_by":"name"}"#)
    #expect(try await watch.next()?.records.isEmpty == true)
    let (heard, told) = AsyncStream.makeStream(of: String.self)
    let subscription = try client.listen(listener: Listener(told))
    _ = try await samples.create(id: "kick", doc: "{}")
    _ = try await samples.create(id: "snare", doc: "{}")
    var records = heard.makeAsyncIterator()
    #expect(await records.next() == "kick")
    #expect(await records.next() == "snare")
    subscription.cancel()
    #expect(try await watch.next()?.records.map(\.id) == ["kick", "snare"])
    try await client.close()
    #expect(try await watch.next() == nil)
}

/// Throws first, then gives the token from a task of its own.
final class Tokens: TokenSource, @unchecked Sendable {
    private let token: String
    private let lock = NSLock()
    private var asked = 0

    init(_ token: String) {
        self.token = token
    }

    func tokenWanted(request: TokenRequest) throws {
        let first = lock.withLock {
            asked += 1
            return asked == 1
        }
        if first {
            throw CallbackError.Failed(reason: "the login page is down")
        }
        let token = token
        Task { request.give(token: token) }
    }
}

@Test func tokensComeFromTheAppWhichMayThrow() async throws {
    let stage = try Stage()
    let client = try await stage.open("a", tokens: Tokens(try stage.token()))
    _ = try await client.collection(name: "samples").create(id: "kick", doc: "{}")
    let refused = await failure { _ = try await client.syncNow() }
    #expect(refused?.code == "auth_required" && refused?.kind == .auth)
    #expect(try await client.syncNow().pushed == 1)
    try await client.close()
}

@Test func aRefusedEventIsReplacedAndAValueThatLostIsReadWhole() async throws {
    let stage = try Stage()
    let (desk, laptop) = (try await stage.open("desk"), try await stage.open("laptop"))
    let (ours, theirs) = (desk.collection(name: "notes"), laptop.collection(name: "notes"))
    _ = try await ours.create(id: "n", doc: #"{"body":"short","plays":1}"#)
    _ = try await desk.syncNow()
    _ = try await laptop.syncNow()
    _ = try await theirs.update(id: "n", patch: #"{"plays":"many"}"#)
    _ = try await laptop.syncNow()
    let refused = try #require(try await ours.edit(id: "n").increment(path: "/plays", by: 1).commit())
    _ = try await desk.syncNow()
    #expect(try await desk.parked().map(\.id) == [refused])
    _ = try await desk.replace(event: refused, content: #"{"plays":7}"#)
    _ = try await desk.syncNow()
    _ = try await laptop.syncNow()
    #expect(try await theirs.get(id: "n") == #"{"body":"short","plays":7}"#)

    let seen = try #require(try await ours.record(id: "n"))
    let body = "\"" + String(repeating: "a long story ", count: 2000) + "\""
    _ = try await theirs.update(id: "n", patch: "{\"body\":\(body)}")
    _ = try await laptop.syncNow()
    _ = try await desk.syncNow()
    _ = try await ours.update(id: "n", patch: #"{"body":"a short one"}"#, seen: seen)
    _ = try await desk.syncNow()
    _ = try await laptop.syncNow()
    for client in [desk, laptop] {
        let note = try #require(try await client.conflicts().first { $0.path == "/body" })
        let doc = try JSONSerialization.jsonObject(with: Data(note.doc.utf8)) as? [String: Any]
        let losers = try #require(doc?["losers"] as? [[String: Any]])
        let reference = try #require(losers[0]["value_ref"] as? [String: Any])
        let sha256 = try #require(reference["sha256"] as? String)
        #expect(try await client.conflictValue(note: note.id, sha256: sha256) == body)
        try await client.close()
    }
}

@Test func aReplicaInMemoryMakesNoFileAndIsGoneWhenItIsClosed() async throws {
    for _ in 0..<2 {
        let client = try await Client.open(options: ClientOptions(path: ":memory:", account: "anna"))
        #expect(try await client.collection(name: "samples").get(id: "kick") == nil)
        _ = try await client.collection(name: "samples").create(id: "kick", doc: "{}")
        try await client.close()
    }
    #expect(!FileManager.default.fileExists(atPath: ":memory:"))
}

@Test func aDamagedReplicaIsRecoveredAndTheDoctorSaysWhatIsWrong() async throws {
    let stage = try Stage()
    let file = stage.folder.appendingPathComponent("damaged.db")
    let options = ClientOptions(path: file.path)
    var client = try await Client.open(options: options)
    _ = try await client.collection(name: "samples").create(id: "kick", doc: "{}")
    #expect(try await client.doctor().first?.code == "anonymous")
    try await client.claim(account: "anna")
    try await client.suspend()
    try await client.resume()
    try await client.close()
    var damaged = try Data(contentsOf: file)
    damaged.replaceSubrange(100..<2000, with: Data(repeating: 7, count: 1900))
    try damaged.write(to: file)
    let refused = await failure { _ = try await Client.open(options: options) }
    #expect(refused?.code == "storage_corrupt")
    let report = try await recover(path: file.path)
    #expect(report.events == 1 && report.lostEvents.isEmpty)
    client = try await Client.open(options: options)
    #expect(try await client.collection(name: "samples").get(id: "kick") == "{}")
    let waiting = try await client.pending()[0].id
    let unknown = await failure { _ = try await client.replace(event: waiting, content: "{}") }
    #expect(unknown?.code == "event_state")
    try await client.close()
}

// Settings, as Swift sees them; what they do is `tests/scenarios/settings.json`.

import Testing
import Unisono

@Test func aWatchTellsTheDocumentAndEachChangeAndWhatDoesNotFitIsNamed() async throws {
    let client = try await Client.open(options: ClientOptions(path: ":memory:", account: "anna"))
    let editor = try client.settings().group(name: "editor", defaults: #"{"grid":{"snap":true},"zoom":1}"#)
    let watch = try editor.watch()
    #expect(try await watch.next() == #"{"grid":{"snap":true},"zoom":1}"#)
    #expect(try await editor.update(patch: #"{"zoom":2}"#) != nil)
    #expect(try await watch.next() == #"{"grid":{"snap":true},"zoom":2}"#)
    #expect(try await editor.level(path: "zoom") == .user)
    #expect(try await editor.isOverridden(path: "/grid/snap") == false)

    do {
        _ = try await client.settings().profile().update(patch: #"{"email":"nobody"}"#)
        Issue.record("it was not refused")
    } catch UnisonoError.Failed(let code, _, _, _, let fields) {
        #expect(code == "settings_invalid")
        #expect(fields == [FieldError(path: "/email", rule: .format, allowed: "an e-mail address")])
    }
    try await client.close()
    #expect(try await watch.next() == nil)
}

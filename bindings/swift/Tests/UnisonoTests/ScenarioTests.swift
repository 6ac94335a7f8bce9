// Plays the scenarios that all languages play (their form: `tests/scenarios/README.md`).

import Foundation
import Testing
import Unisono

/// The files of the folder that the suite names.
let scenarioFiles: [URL] = {
    let folder = URL(fileURLWithPath: ProcessInfo.processInfo.environment["UNISONO_SCENARIOS"] ?? "")
    let all = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
    return all.filter { $0.pathExtension == "json" }.sorted { $0.path < $1.path }
}()

@Test func thereAreScenarios() {
    #expect(!scenarioFiles.isEmpty)
}

@Test(arguments: scenarioFiles) func everyScenarioGivesWhatItSays(file: URL) async throws {
    let stage = try Stage()
    let scenario = writtenOut(try JSON(parsing: String(contentsOf: file, encoding: .utf8)))
    let account = try text(scenario, "account")
    var devices: [String: Device] = [:]
    for name in try #require(scenario["devices"]?.array).compactMap(\.string) {
        devices[name] = Device(try await stage.open(name, account: account))
    }
    for (index, step) in try #require(scenario["steps"]?.array).enumerated() {
        let (action, name) = (try text(step, "do"), try text(step, "device"))
        let place = Comment(rawValue: "step \(index + 1): \(action) on \(name)")
        if action == "reopen" {
            devices[name] = Device(try await stage.open(name, account: account))
            continue
        }
        do {
            let given = try await #require(devices[name]).take(step, action)
            #expect(step["error"] == nil, place)
            if let expected = step["expect"] {
                #expect(named(given, expected, action) == expected, place)
            }
        } catch UnisonoError.Failed(let code, let kind, let retryable, let detail, _) {
            let told = ["code": JSON.string(code), "kind": .string("\(kind)"), "retryable": .bool(retryable)]
            #expect(step["error"] == .object(told), "\(place): \(detail)")
        }
    }
    for device in devices.values {
        try await device.client.close()
    }
}

/// A step that there is not, or that lacks what it needs.
struct BadStep: Error {
    let what: String
}

private final class Device {
    let client: Client
    private var watches: [String: Watch] = [:]
    private var reads: [String: Record] = [:]

    init(_ client: Client) {
        self.client = client
    }

    /// Takes a step; what it gives, where that is compared.
    func take(_ step: JSON, _ action: String) async throws -> JSON? {
        let plain = client.collection(name: step["collection"]?.string ?? "samples")
        let samples = step["strict"] == .bool(true) ? plain.strict() : plain
        let seen = step["seen"]?.string.flatMap { reads[$0] }
        switch action {
        case "create":
            _ = try await samples.create(id: text(step, "id"), doc: json(step, "doc"))
            return nil
        case "put":
            return changed(try await samples.put(id: text(step, "id"), doc: json(step, "doc"), seen: seen))
        case "put_many":
            let docs = Array(try member(step, "docs").object ?? [:])
            let events = try await samples.putMany(docs: docs.map { Document(id: $0.key, doc: try $0.value.text) })
            return .object(Dictionary(uniqueKeysWithValues: zip(docs.map(\.key), events.map(changed))))
        case "update":
            return changed(try await samples.update(id: text(step, "id"), patch: json(step, "patch"), seen: seen))
        case "save":
            return changed(try await samples.save(old: #require(seen), new: json(step, "doc")))
        case "edit":
            var edit = samples.edit(id: try seen?.id ?? text(step, "id"), seen: seen)
            for op in try member(step, "ops").array ?? [] {
                edit = try applied(op, to: edit)
            }
            return changed(try await edit.commit())
        case "delete":
            _ = try await samples.delete(id: text(step, "id"), seen: seen)
            return nil
        case "get":
            return try JSON(parsing: try await samples.get(id: text(step, "id")))
        case "record":
            guard let record = try await samples.record(id: text(step, "id")) else { return .null }
            reads[step["name"]?.string ?? ""] = record
            return .object(["doc": try JSON(parsing: record.doc), "state": .string("\(record.state)")])
        case "query":
            return ids(try await samples.query(options: json(step, "options")))
        case "watch":
            watches[try text(step, "name")] = try samples.watch(options: json(step, "options"))
            return nil
        case "next":
            let watch = try #require(watches[text(step, "name")])
            return ids(try #require(try await watch.next()).records)
        case "sync":
            let report = try await client.syncNow()
            let told = ["pushed": report.pushed, "pulled": report.pulled, "conflicts": report.conflicts, "parked": report.parked]
            return .object(told.mapValues(number))
        case "conflicts":
            return .array(try (await client.conflicts().map(told)).sorted { try $0.text < $1.text })
        case "conflict_value":
            let note = try await openNote(step)
            let loser = try JSON(parsing: note.doc)["losers"]?.array?.first
            let sha256 = try #require(loser?["value_ref"]?["sha256"]?.string)
            return try JSON(parsing: try await client.conflictValue(note: note.id, sha256: sha256))
        case "resolve":
            let note = try await openNote(step)
            _ = try await client.resolve(note: note.id, scope: note.scope)
            return nil
        case "close":
            try await client.close()
            return nil
        case "state":
            let rows = try await samples.query(options: "{}").map { ($0.id, try JSON(parsing: $0.doc)) }
            return .object(Dictionary(uniqueKeysWithValues: rows))
        default:
            return try await takeAboutSettings(step, action)
        }
    }

    private func takeAboutSettings(_ step: JSON, _ action: String) async throws -> JSON? {
        switch action {
        case "status":
            let status = client.status()
            let state = "\(status.state)".prefix { $0 != "(" }
            let withheld: JSON = status.withheld.map { .string(snakeCase("\($0)")) } ?? .null
            return .object([
                "pending": number(status.pending), "parked": number(status.parked), "state": .string(String(state)),
                "withheld": withheld,
            ])
        case "choose":
            return changed(try await settings(step).update(patch: json(step, "patch")))
        case "reset":
            return .bool(try await settings(step).reset(path: text(step, "path")))
        case "setting":
            let (document, path) = (try settings(step), try text(step, "path"))
            var value = try JSON(parsing: try await document.get())
            for name in path.split(separator: "/") {
                value = try member(value, String(name))
            }
            return .object(["value": value, "level": .string("\(try await document.level(path: path))")])
        default:
            throw BadStep(what: "there is no step \(action)")
        }
    }

    /// The settings that a step is about: the preferences, or the app's group that it names, with its defaults.
    private func settings(_ step: JSON) throws -> Settings {
        let all = client.settings()
        let document = try step["name"]?.string.map { try all.group(name: $0, defaults: json(step, "doc")) } ?? all.preferences()
        switch step["level"]?.string {
        case nil: return document
        case "device": return try document.at(level: .device)
        case "user": return try document.at(level: .user)
        case let level?: throw BadStep(what: "no step chooses at the level \(level)")
        }
    }

    /// The one open note on a step's record and path.
    private func openNote(_ step: JSON) async throws -> Conflict {
        let open = try await client.conflicts()
        return try #require(open.first { told($0)["record"] == step["record"] && told($0)["path"] == step["path"] })
    }
}

private func applied(_ op: JSON, to edit: Edit) throws -> Edit {
    let path = try text(op, "path")
    let values = { try (member(op, "values").array ?? []).map { try $0.text } }
    switch try text(op, "op") {
    case "set": return try edit.set(path: path, value: json(op, "value"))
    case "unset": return edit.unset(path: path)
    case "inc": return edit.increment(path: path, by: try #require(op["by"]?.integer))
    case "add": return try edit.add(path: path, values: values())
    case "remove": return try edit.remove(path: path, values: values())
    case "text": return edit.text(path: path, edit: try (member(op, "edit").array ?? []).map(component))
    case let kind: throw BadStep(what: "there is no operation \(kind)")
    }
}

private func component(_ part: JSON) throws -> TextComponent {
    switch part {
    case .string(let inserted): return .insert(inserted)
    case .integer(let skipped): return .skip(UInt64(skipped))
    default: return .delete(d: UInt64(try #require(part["d"]?.integer)))
    }
}

private func told(_ note: Conflict) -> JSON {
    .object([
        "collection": .string(note.collection), "record": .string(note.record),
        "path": note.path.map(JSON.string) ?? .null,
    ])
}

/// Writes out what stands for a repeated text.
private func writtenOut(_ value: JSON) -> JSON {
    switch value {
    case .array(let items):
        return .array(items.map(writtenOut))
    case .object(let members):
        if let times = members["$times"]?.integer, let text = members["text"]?.string {
            return .string(String(repeating: text, count: Int(times)))
        }
        return .object(members.mapValues(writtenOut))
    default:
        return value
    }
}

/// Keeps of what a step gave what is expected of it: of reports and statuses, the fields that are named.
private func named(_ given: JSON?, _ expected: JSON, _ action: String) -> JSON? {
    guard ["sync", "status", "record"].contains(action), let fields = given?.object, let wanted = expected.object else {
        return given
    }
    return .object(fields.filter { wanted[$0.key] != nil })
}

private func member(_ value: JSON, _ name: String) throws -> JSON {
    guard let found = value[name] else { throw BadStep(what: "there is no \(name)") }
    return found
}

private func text(_ value: JSON, _ name: String) throws -> String {
    guard let text = try member(value, name).string else { throw BadStep(what: "\(name) is no text") }
    return text
}

private func json(_ value: JSON, _ name: String) throws -> String {
    try member(value, name).text
}

private func changed(_ event: String?) -> JSON {
    .bool(event != nil)
}

private func number(_ count: UInt64) -> JSON {
    .integer(Int64(count))
}

private func ids(_ records: [Record]) -> JSON {
    .array(records.map { .string($0.id) })
}

/// `syncOff` as the scenarios write it: `sync_off`.
private func snakeCase(_ name: String) -> String {
    name.reduce(into: "") { $0 += $1.isUppercase ? "_\($1.lowercased())" : String($1) }
}
